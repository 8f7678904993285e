"""Archives that are cut off, damaged or none at all, and a second process in the same folder."""

import multiprocessing
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from tests.downloads.archives import (
    GOOD,
    TREE,
    file_info,
    make_tar,
    make_tree,
    make_zip,
)
from tests.downloads.checks import names, refused
from variad.downloads.extraction import extract
from variad.errors import UserError


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_cut_off(place: Path, suffix: str, part: float) -> None:
    archive = make_tree(place / f"a{suffix}")
    archive.write_bytes(archive.read_bytes()[: int(part * archive.stat().st_size)])
    assert refused(archive, place, keep_archive=False).startswith("expected a whole")


def test_cut_off_between_two_members(place: Path) -> None:
    archive = make_tar(place / "a.tar", GOOD, (file_info("b", 3), b"abc"))
    archive.write_bytes(archive.read_bytes()[:1024] + b"ustar")
    assert refused(archive, place) == "expected a whole archive, found one that is cut off"


def test_damaged_header_is_not_taken_for_the_end(place: Path) -> None:
    archive = make_tar(place / "a.tar", GOOD, (file_info("b", 3), b"abc"), (file_info("c", 3), b"abc"))
    content = bytearray(archive.read_bytes())
    content[1024] ^= 1  # the second member's name, which its checksum covers
    archive.write_bytes(content)
    assert refused(archive, place) == "expected nothing after its last member, found other bytes"


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
def test_flipped_bytes_never_give_other_files(place: Path, suffix: str) -> None:
    archive = make_tree(place / f"a{suffix}")
    whole, random = archive.read_bytes(), np.random.default_rng(1)
    refusals = 0
    for position in random.integers(0, len(whole), 60):
        content = bytearray(whole)
        content[position] ^= 1 << int(random.integers(8))
        archive.write_bytes(content)
        try:
            extract(archive, place / "data")
        except UserError:
            refusals += 1
            assert names(place) == [archive.name]
            continue
        found = {str(path.relative_to(place / "data")): path for path in (place / "data").rglob("*") if path.is_file()}
        assert sorted(path.read_bytes() for path in found.values()) == sorted(TREE.values())
        (place / "data").rename(place.parent / f"kept{position}")
    assert refusals > 30


def test_text_that_is_no_archive(place: Path) -> None:
    archive = place / "a.zip"
    archive.write_text("<html>This link has expired</html>" * 100)
    assert refused(archive, place).startswith("expected a whole zip or tar (plain, gz, xz, bz2), found: ")


def test_size_of_a_zip_member_is_not_believed(place: Path) -> None:
    archive = make_zip(place / "a.zip", ("a.bin", bytes(5_000)))
    content = archive.read_bytes()
    archive.write_bytes(content.replace(struct.pack("<I", 5_000), struct.pack("<I", 4_000)))
    assert "found: Bad CRC-32" in refused(archive, place)
    archive.write_bytes(content.replace(struct.pack("<I", 5_000), struct.pack("<I", 6_000)))
    assert refused(archive, place) == "member 'a.bin': expected 6,000 bytes, found 5,000"


def test_zip_member_before_the_beginning(place: Path) -> None:
    archive = make_zip(place / "a.zip", ("a", b"1"), ("b", b"2"))
    content = bytearray(archive.read_bytes())
    end = content.index(b"PK\x05\x06")
    content[end + 16 : end + 20] = struct.pack("<I", 2**31 - 1)  # where the directory is said to begin
    archive.write_bytes(content)
    assert refused(archive, place).startswith("expected a whole zip or tar")


def _extract_slowly(archive: Path, target: Path, started) -> None:
    import variad.downloads.extraction as extraction

    def wait(*_) -> None:
        started.set()
        time.sleep(60)

    extraction.write_members = wait  # type: ignore[assignment]
    extract(archive, target)


def test_two_processes_do_not_unpack_into_one_folder(place: Path) -> None:
    archive, context = make_tree(place / "a.zip"), multiprocessing.get_context("fork")
    started = context.Event()
    process = context.Process(target=_extract_slowly, args=(archive, place / "data", started))
    process.start()
    try:
        assert started.wait(20)
        with pytest.raises(UserError, match=r"\.data\.unpacking: expected no other process at work on it, found one"):
            extract(archive, place / "data")
    finally:
        process.terminate()
        process.join()
    extract(archive, place / "data")
    assert names(place) == ["a.zip", "data"]
