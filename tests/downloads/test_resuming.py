"""Interrupted downloads: no byte is fetched twice where ranges work, and none of another version is kept."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from tests.downloads.checks import expected_of, names, note_of, part_of, sha256
from tests.downloads.server import Fault, FileServer
from variad.core.errors import UserError
from variad.downloads.catalogue import Expected
from variad.downloads.transfer import fetch

pytestmark = pytest.mark.usefixtures("waits")

DATE = "Mon, 02 Jan 2023 10:00:00 GMT"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hashed", [True, False])
def test_interrupted_at_random_bytes_fetches_none_twice(
    server: FileServer, content: bytes, tmp_path: Path, seed: int, hashed: bool
) -> None:
    drops = np.sort(np.random.default_rng(seed).integers(1, len(content), 4))
    url = server.publish("/a.bin", content, *[Fault(drop=int(drop)) for drop in drops])
    fetched = fetch(url, tmp_path / "a.bin", expected_of(content) if hashed else None)
    assert fetched.path.read_bytes() == content
    assert server.sent == len(content)
    assert [answer.status for answer in server.answers] == [200, 206, 206, 206, 206]
    assert [answer.asked_range for answer in server.answers[1:]] == [f"bytes={drop}-" for drop in drops]


def test_resets_lose_nothing_that_arrived(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url = server.publish("/a.bin", content, Fault(drop=100_000, reset=True), Fault(drop=200_000, reset=True))
    assert fetch(url, tmp_path / "a.bin").path.read_bytes() == content


def test_silence_after_some_bytes_loses_none_of_them(
    server: FileServer, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variad.downloads.transfer.READ_TIMEOUT", 0.3)
    url = server.publish("/a.bin", content, Fault(drop=100_001, stall=60))
    assert fetch(url, tmp_path / "a.bin").path.read_bytes() == content
    assert server.sent == len(content)


def test_early_end_of_a_body_without_length_is_noticed(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url = server.publish("/a.bin", content, Fault(drop=100_001), length=False)
    assert fetch(url, tmp_path / "a.bin", expected_of(content)).path.read_bytes() == content
    assert server.sent == len(content)


def test_every_byte_is_written_by_a_file_that_takes_few_at_once(
    server: FileServer, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(io.FileIO):
        def write(self, data) -> int:
            return super().write(data[:7_000])

    def slowly(path: Path, mode: str, buffering: int = -1):
        return Slow(path, mode) if buffering == 0 else io.BufferedWriter(Slow(path, mode))

    monkeypatch.setattr("variad.downloads.transfer.open", slowly, raising=False)
    assert fetch(server.publish("/a.bin", content), tmp_path / "a.bin").path.read_bytes() == content


def test_next_process_goes_on(
    server: FileServer, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variad.downloads.transfer.RETRIES", 1)
    target, faults = tmp_path / "a.bin", [Fault(drop=123_457)]
    url = server.publish("/a.bin", content, *faults, Fault(status=500))
    with pytest.raises(UserError, match=r"in 2 attempts in a row: HTTP status 500"):
        fetch(url, target, expected_of(content))
    assert part_of(target).read_bytes() == content[:123_457]
    assert not target.exists()
    assert fetch(url, target, expected_of(content)).path.read_bytes() == content
    assert server.sent == len(content)
    assert names(tmp_path) == ["a.bin"]


def test_complete_part_is_verified_without_a_request(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    part_of(target).write_bytes(content)
    note_of(target).write_text(json.dumps({"url": url, "validator": None, "total": len(content)}))
    assert fetch(url, target, expected_of(content)).path.read_bytes() == content
    assert server.answers == []


def test_complete_part_of_unknown_size_is_found_at_the_end(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    part_of(target).write_bytes(content)
    note_of(target).write_text(json.dumps({"url": url, "validator": '"first"', "total": None}))
    assert fetch(url, target).path.read_bytes() == content
    assert [(answer.status, answer.sent) for answer in server.answers] == [(416, 0)]


@pytest.mark.parametrize("note", ["{", "[]", '{"url": "http://elsewhere/", "total": 9}', '{"total": "many"}'])
def test_part_of_something_else_starts_again(server: FileServer, content: bytes, tmp_path: Path, note: str) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    part_of(target).write_bytes(b"of another file")
    note_of(target).write_text(note)
    assert fetch(url, target).path.read_bytes() == content
    assert server.answers[0].asked_range is None


def test_part_longer_than_the_file_starts_again(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    part_of(target).write_bytes(content + b"more")
    note_of(target).write_text(json.dumps({"url": url, "validator": '"first"', "total": None}))
    assert fetch(url, target, Expected(sha256=sha256(content))).path.read_bytes() == content
    assert [answer.status for answer in server.answers] == [416, 200]


@pytest.mark.parametrize("hashed", [True, False])
def test_file_that_changed_meanwhile_is_fetched_anew(
    server: FileServer, content: bytes, tmp_path: Path, hashed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variad.downloads.transfer.RETRIES", 1)
    target = tmp_path / "a.bin"
    url = server.publish("/a.bin", b"old" * 50_000, Fault(drop=1_000), Fault(status=503))
    with pytest.raises(UserError, match="503"):
        fetch(url, target)
    server.publish("/a.bin", content, etag='"second"')
    fetched = fetch(url, target, expected_of(content) if hashed else None)
    assert fetched.path.read_bytes() == content
    assert server.answers[-1].status == 200


@pytest.mark.parametrize(("hashed", "asked"), [(True, "bytes=1000-"), (False, None)])
def test_without_validator_only_a_hash_allows_going_on(
    server: FileServer, content: bytes, tmp_path: Path, hashed: bool, asked: str | None
) -> None:
    url = server.publish("/a.bin", content, Fault(drop=1_000), etag='W/"weak"')
    fetched = fetch(url, tmp_path / "a.bin", expected_of(content) if hashed else None)
    assert fetched.path.read_bytes() == content
    assert server.answers[1].asked_range == asked


@pytest.mark.parametrize(
    ("etag", "last_modified", "condition"),
    [('"tag"', DATE, '"tag"'), ('W/"weak"', DATE, DATE), ('W/"weak"', None, None)],
)
def test_what_is_asked_for(
    server: FileServer, content: bytes, tmp_path: Path, etag: str, last_modified: str | None, condition: str | None
) -> None:
    url = server.publish("/a.bin", content, Fault(drop=1_000), etag=etag, last_modified=last_modified)
    fetch(url, tmp_path / "a.bin", expected_of(content))
    asked = [(answer.asked_range, answer.asked_condition) for answer in server.answers]
    assert asked == [(None, None), ("bytes=1000-", condition)]


def test_date_of_last_change_is_a_validator(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url = server.publish("/a.bin", content, Fault(drop=1_000), etag=None, last_modified=DATE)
    assert fetch(url, tmp_path / "a.bin").path.read_bytes() == content
    assert server.answers[1].asked_range == "bytes=1000-"


def test_server_without_ranges_starts_again(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url = server.publish("/a.bin", content, Fault(drop=1_000), Fault(drop=2_000), ranges=False)
    assert fetch(url, tmp_path / "a.bin", expected_of(content)).path.read_bytes() == content
    assert [answer.status for answer in server.answers] == [200, 200, 200]


def test_range_that_begins_elsewhere_is_not_appended(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url = server.publish("/a.bin", content, Fault(drop=1_000), Fault(first_byte=999))
    assert fetch(url, tmp_path / "a.bin", expected_of(content)).path.read_bytes() == content
    assert [answer.status for answer in server.answers] == [200, 206, 200]
