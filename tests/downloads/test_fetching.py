"""Fetching a file: what arrives is what was published, or is refused and removed."""

import hashlib
from pathlib import Path

import pytest

from tests.downloads.checks import expected_of, names, nothing_left, sha256
from tests.downloads.server import Fault, FileServer
from variad.downloads.fetching import fetch
from variad.downloads.partial_file import part_path
from variad.downloads.verification import Expected
from variad.errors import UserError

pytestmark = pytest.mark.usefixtures("waits")


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
    assert part_path(target).stat().st_size == 0


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
    with pytest.raises(UserError, match=r"a\.bin\.part: expected a file that can be written, found: "):
        fetch("http://127.0.0.1/a.bin", tmp_path / "file" / "a.bin")
