"""Fetching a file: what arrives is what was published, or is refused and removed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from tests.downloads.checks import expected_of, names, nothing_left, part_of, sha256
from tests.downloads.server import Fault, FileServer
from variad.core.errors import UserError
from variad.downloads.catalogue import Expected
from variad.downloads.transfer import (
    WrongFile,
    content_range,
    fetch,
    seconds_to_wait,
    validator_of,
    verify_file,
)

pytestmark = pytest.mark.usefixtures("waits")

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
ABC_MD5 = "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, appendix A.5


def test_whole_file_with_its_hashes(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url = server.publish("/a.bin", content)
    fetched = fetch(url, tmp_path / "new" / "a.bin", expected_of(content))
    assert (fetched.path.read_bytes(), fetched.sha256, fetched.size) == (content, sha256(content), len(content))
    assert names(tmp_path / "new") == ["a.bin"]
    assert server.sent == len(content)
    assert server.answers[0].asked_encoding == "identity"


def test_empty_file(server: FileServer, tmp_path: Path) -> None:
    fetched = fetch(server.publish("/empty", b""), tmp_path / "empty")
    assert (fetched.sha256, fetched.size) == (sha256(b""), 0)


def test_file_that_is_there_is_verified_and_not_fetched(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    target.write_bytes(content)
    assert fetch(url, target, expected_of(content)).sha256 == sha256(content)
    target.write_bytes(b"other")
    with pytest.raises(UserError, match=rf"{target}: expected 300,000 bytes, found 5\."):
        fetch(url, target, expected_of(content))
    assert server.answers == []
    assert target.read_bytes() == b"other"


def test_flipped_byte_is_refused_and_removed(server: FileServer, content: bytes, tmp_path: Path) -> None:
    flipped = bytearray(content)
    flipped[123_456] ^= 1
    url, target = server.publish("/a.bin", bytes(flipped)), tmp_path / "a.bin"
    with pytest.raises(UserError) as refusal:
        fetch(url, target, expected_of(content))
    assert str(refusal.value) == (
        f"a.bin from {url}: expected sha256 {sha256(content)}, found {sha256(bytes(flipped))}."
    )
    assert nothing_left(target)


def test_md5_alone_is_verified(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    with pytest.raises(UserError, match=f"expected md5 {'0' * 32}, found {hashlib.md5(content).hexdigest()}"):
        fetch(url, target, Expected(md5="0" * 32))
    assert nothing_left(target)
    assert fetch(url, target, Expected(md5=hashlib.md5(content).hexdigest().upper())).size == len(content)


def test_other_size_is_refused_before_the_body(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    with pytest.raises(UserError, match=rf"{url}: expected 299,999 bytes, found 300,000\."):
        fetch(url, target, Expected(size=299_999))
    assert not target.exists()
    assert part_of(target).stat().st_size == 0


def test_more_bytes_than_expected_stop_the_download(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url, target = server.publish("/a.bin", content, length=False), tmp_path / "a.bin"
    with pytest.raises(UserError, match=r"expected 1,000 bytes, found more\."):
        fetch(url, target, Expected(size=1_000))
    assert not target.exists()


def test_body_without_a_length_ends_where_it_ends(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url = server.publish("/a.bin", content, length=False)
    assert fetch(url, tmp_path / "a.bin").path.read_bytes() == content


def test_web_page_in_place_of_the_file_is_refused(server: FileServer, tmp_path: Path) -> None:
    url = server.publish("/share", b"<html>This link has expired", kind="text/html; charset=utf-8")
    with pytest.raises(UserError, match=r"/share: expected a file for last\.ckpt, found a web page"):
        fetch(url, tmp_path / "last.ckpt")
    assert not (tmp_path / "last.ckpt").exists()


def test_answer_without_a_file_is_refused(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    url = server.publish("/a.bin", b"", Fault(status=204))
    with pytest.raises(UserError, match=rf"^{url}: expected a file, found HTTP status 204\.$"):
        fetch(url, tmp_path / "a.bin")
    assert (len(server.answers), waits) == (1, [])


def test_file_that_another_process_finished_meanwhile_is_taken(
    server: FileServer, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def finishing(part: Path) -> Iterator[Path]:
        (tmp_path / "a.bin").write_bytes(content)
        yield part

    monkeypatch.setattr("variad.downloads.transfer.only_one", finishing)
    assert fetch(server.publish("/a.bin", content), tmp_path / "a.bin").sha256 == sha256(content)
    assert server.answers == []


@pytest.mark.parametrize(("length", "of"), [(True, " of 300,000"), (False, "")])
def test_log_says_how_far_it_is(
    server: FileServer, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: bool, of: str
) -> None:
    lines: list[str] = []
    monkeypatch.setattr("variad.downloads.transfer.LOG_INTERVAL", 0.0)
    monkeypatch.setattr("variad.downloads.transfer._log.info", lambda text, *values: lines.append(text % values))
    fetch(server.publish("/a.bin", content, length=length), tmp_path / "a.bin")
    assert lines[-1] == f"a.bin: 300,000{of} bytes are there"


def test_encoding_that_nobody_asked_for_is_kept(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url = server.publish("/a.tgz", content, *[Fault(headers={"Content-Encoding": "gzip"})] * 10)
    assert fetch(url, tmp_path / "a.tgz", expected_of(content)).path.read_bytes() == content
    assert len(server.answers) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "a.bin", "https://"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="expected an address that begins with http"):
        fetch(url, tmp_path / "a.bin")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"a\.bin\.part: expected room and permission to write it, found: "):
        fetch("http://127.0.0.1/a.bin", tmp_path / "file" / "a.bin")


@pytest.mark.parametrize("length", ["-1", "²", ""])
def test_length_that_makes_no_sense_is_not_believed(
    server: FileServer, content: bytes, tmp_path: Path, length: str
) -> None:
    url = server.publish("/a.bin", content, Fault(headers={"Content-Length": length}))
    assert fetch(url, tmp_path / "a.bin").path.read_bytes() == content


def test_hashes_of_the_standards(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert verify_file(path, Expected(sha256=ABC, md5=ABC_MD5, size=3)) == ABC
    assert verify_file(path, Expected(sha256=ABC.upper())) == ABC


def test_file_of_many_blocks(tmp_path: Path) -> None:
    path, content = tmp_path / "many", bytes(range(256)) * 9_999
    path.write_bytes(content)
    md5 = hashlib.md5(content).hexdigest()
    assert verify_file(path, Expected(md5=md5, size=len(content))) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (Expected(size=4), "abc: expected 4 bytes, found 3."),
        (Expected(sha256="0" * 64), f"abc: expected sha256 {'0' * 64}, found {ABC}."),
        (Expected(sha256=ABC, md5="1" * 32), f"abc: expected md5 {'1' * 32}, found {ABC_MD5}."),
    ],
)
def test_what_is_wrong_is_named(expected: Expected, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    with pytest.raises(WrongFile) as refusal:
        verify_file(tmp_path / "file", expected, "abc")
    assert str(refusal.value) == message


def test_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match=f"{path}: expected a file, found none."):
            verify_file(path, Expected())


@pytest.mark.parametrize("wrong", [{"sha256": "abc"}, {"md5": ABC}, {"sha256": "g" * 64}, {"size": -1}])
def test_expectations_of_another_form(wrong: dict) -> None:
    with pytest.raises(UserError, match=f"{next(iter(wrong))}: expected .*, found"):
        Expected(**wrong)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("bytes 5-9/*", (5, None)),
        ("bytes */10", (None, 10)),
        ("items 5-9/10", (None, None)),
        ("bytes -5-9/10", (None, None)),
        ("", (None, None)),
    ],
)
def test_content_range(value: str, expected: tuple[int | None, int | None]) -> None:
    assert content_range({"Content-Range": value}) == expected


def test_strong_tag_before_date_and_weak_tag_never() -> None:
    date = "Mon, 02 Jan 2023 10:00:00 GMT"
    assert validator_of({"ETag": '"a"', "Last-Modified": date}) == '"a"'
    assert validator_of({"ETag": 'W/"a"', "Last-Modified": date}) == date
    assert validator_of({"ETag": 'W/"a"'}) is None


def failed(status: int, after: str | None = None) -> requests.HTTPError:
    """What the HTTP library raises for a status, with the server's wish when to come back."""
    response = requests.Response()
    response.status_code, response.reason = status, "Reason"
    if after is not None:
        response.headers["Retry-After"] = after
    return requests.HTTPError(response=response)


def test_waits_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variad.downloads.transfer.RETRIES", 99)
    for failures, ceiling in enumerate([1, 2, 4, 8, 16, 32, 64, 120, 120], start=1):
        waits = [seconds_to_wait("http://there", ConnectionError("it"), failures) for _ in range(200)]
        assert ceiling / 2 <= min(waits) < 0.6 * ceiling
        assert 0.9 * ceiling < max(waits) <= ceiling


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(
    value: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2015, 10, 21, 7, 28, 0, tzinfo=UTC).timestamp()
    monkeypatch.setattr("urllib3.util.retry.time.time", lambda: now)
    waited = seconds_to_wait("http://there", failed(503, value), 1)
    assert waited == seconds if seconds is not None else 0.5 <= waited <= 1.0


def test_which_statuses_pass() -> None:
    def passes(status: int) -> bool:
        try:
            return seconds_to_wait("http://there", failed(status), 1) > 0
        except UserError as refusal:
            assert str(refusal) == f"http://there: expected a file, found HTTP status {status} (Reason)."
            return False

    assert [status for status in range(200, 600) if passes(status)] == [408, 425, 429, *range(500, 600)]


def test_last_attempt_is_not_waited_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variad.downloads.transfer.RETRIES", 2)
    assert seconds_to_wait("http://there", ConnectionError("it"), 2) > 0
    with pytest.raises(UserError, match=r"^http://there: expected a file, found in 3 attempts in a row: it\.$"):
        seconds_to_wait("http://there", ConnectionError("it"), 3)
