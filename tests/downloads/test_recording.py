"""Weights without a published hash: recorded once, refused when they change."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.downloads.server import Fault, FileServer
from variad.downloads.recording import fetch_recorded
from variad.errors import UserError
from variad.recorded_hash import record_path, verify_recorded

pytestmark = pytest.mark.usefixtures("waits")


def test_first_download_records_and_a_changed_one_is_refused(
    server: FileServer, content: bytes, tmp_path: Path
) -> None:
    target, found = tmp_path / "last.ckpt", hashlib.sha256(content).hexdigest()
    url = server.publish("/last.ckpt", content, Fault(drop=77_777))
    assert fetch_recorded(url, target).sha256 == found
    assert json.loads((tmp_path / "last.ckpt.sha256.json").read_text()) == {
        "file": "last.ckpt",
        "url": url,
        "sha256": found,
        "size": 300_000,
    }
    verify_recorded(target)
    target.unlink()
    server.publish("/last.ckpt", b"others")
    other = hashlib.sha256(b"others").hexdigest()
    with pytest.raises(UserError) as refusal:
        fetch_recorded(url, target)
    assert str(refusal.value) == (
        f"last.ckpt from {url}: expected sha256 {found}, found {other}; "
        f"it changed since {record_path(target)} was written (delete that to accept it)."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt.sha256.json"]
    record_path(target).unlink()
    assert fetch_recorded(url, target).sha256 == other


def test_file_changed_on_disk_is_refused(server: FileServer, content: bytes, tmp_path: Path) -> None:
    target = tmp_path / "last.ckpt"
    url = server.publish("/last.ckpt", content)
    fetch_recorded(url, target)
    target.write_bytes(content[:-1] + b"?")
    for check in (lambda: verify_recorded(target), lambda: fetch_recorded(url, target)):
        with pytest.raises(UserError, match=r"last\.ckpt: expected sha256 .* it changed since .*\.json was"):
            check()


def test_failed_download_records_nothing(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="404"):
        fetch_recorded(server.url("/none"), tmp_path / "none")
    assert not record_path(tmp_path / "none").exists()


def test_file_without_a_record_is_not_refused(tmp_path: Path) -> None:
    (tmp_path / "own.ckpt").write_bytes(b"mine")
    verify_recorded(tmp_path / "own.ckpt")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": "123"}', '{"sha256": null}'])
def test_record_that_cannot_be_read(server: FileServer, content: bytes, tmp_path: Path, text: str) -> None:
    target = tmp_path / "last.ckpt"
    target.write_bytes(content)
    record_path(target).write_text(text)
    with pytest.raises(UserError, match="expected a recorded sha256 of 64 hexadecimal digits, found none"):
        fetch_recorded(server.publish("/last.ckpt", content), target)
    with pytest.raises(UserError, match=f"{record_path(target)}: expected a recorded sha256"):
        verify_recorded(target)
