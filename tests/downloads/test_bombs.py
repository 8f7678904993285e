"""Archives that would fill the disk or the memory."""

import errno
import gzip
import io
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from tests.downloads.archives import (
    GOOD,
    TREE,
    file_info,
    make_tar,
    make_tree,
    make_zip,
    old_sparse_header,
)
from tests.downloads.checks import names, refused
from variad.downloads.extraction import extract
from variad.downloads.limits import Limits
from variad.errors import UserError


@pytest.mark.parametrize("style", ["old", "pax 0.1", "pax 1.0"])
def test_sparse_file_of_ten_gigabytes(place: Path, style: str) -> None:
    archive, size = place / "a.tar", 10 * 2**30
    if style == "old":
        archive.write_bytes(old_sparse_header("hole", size) + bytes(1024))
    else:
        info = file_info("hole", 512 if style == "pax 1.0" else 0)
        info.pax_headers = {"GNU.sparse.name": "hole"}
        if style == "pax 1.0":
            info.pax_headers |= {
                "GNU.sparse.major": "1",
                "GNU.sparse.minor": "0",
                "GNU.sparse.realsize": str(size),
            }
        else:
            info.pax_headers |= {"GNU.sparse.size": str(size), "GNU.sparse.map": f"{size},0"}
        content = f"1\n{size}\n0\n".encode().ljust(512, b"\0") if style == "pax 1.0" else b""
        make_tar(archive, (info, content), format=tarfile.PAX_FORMAT)
    assert archive.stat().st_size < 20_000
    assert refused(archive, place) == "member 'hole': expected a file, a folder or a link, found a sparse file"


def test_declared_ten_gigabytes_are_refused_before_a_byte(place: Path) -> None:
    archive = place / "a.tar"
    archive.write_bytes(file_info("big", 10 * 2**30).tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    sentence = refused(archive, place)
    assert sentence == (
        "expected an archive of 1,536 bytes to hold at most 67,108,864 bytes of files, found at least 10,737,418,240"
    )


def test_bomb_in_tar(place: Path) -> None:
    content = bytes(40_000_000)
    members = [(file_info(f"{n}.bin", len(content)), content) for n in range(2)]
    archive = make_tar(place / "a.tar.gz", *members, mode="w:gz")
    assert "to hold at most 67,108,864 bytes of files, found at least 80,000,000" in refused(archive, place)


def test_bomb_in_zip_is_refused_before_a_byte(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(place / "a.zip", *[(f"{n}.bin", bytes(40_000_000)) for n in range(2)])
    monkeypatch.setattr("variad.downloads.extraction.write_members", lambda *_: pytest.fail("began to write"))
    assert "to hold at most 67,108,864 bytes of files, found at least 80,000,000" in refused(archive, place)


def test_ratio_counts_from_its_floor_and_size_always(place: Path) -> None:
    content = os.urandom(1000) + bytes(99_000)
    archive = make_zip(place / "a.zip", ("a.bin", content))
    size = archive.stat().st_size
    assert "to hold at most 99,999 " in refused(archive, place, Limits(size=99_999))
    sentence = refused(archive, place, Limits(ratio=50.0, ratio_from=1))
    assert f"of {size:,} bytes to hold at most {50 * size:,} bytes of files, found at least 100,000" in sentence
    extract(archive, place / "data", Limits(ratio=50.0, ratio_from=100_000, size=100_000))
    assert (place / "data" / "a.bin").read_bytes() == content


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_number_of_members(place: Path, suffix: str) -> None:
    archive = make_tree(place / f"a{suffix}")
    assert refused(archive, place, Limits(members=4)) == "expected at most 4 members, found more"


@pytest.mark.parametrize("size", [200 * 2**20, -512])
def test_header_that_would_fill_the_memory(place: Path, size: int) -> None:
    header = file_info("././@LongLink", size, type=tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT)
    archive = place / "a.tar.gz"
    with gzip.open(archive, "wb", compresslevel=1) as stream:
        stream.write(header)
        for _ in range(200):
            stream.write(bytes(2**20))
    tracemalloc.start()
    sentence = refused(archive, place)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sentence == "expected headers of at most 1,048,576 bytes, found more"
    assert peak < 30 * 2**20


def test_zeros_without_end_after_the_last_member(place: Path) -> None:
    archive = place / "a.tar.gz"
    with gzip.open(archive, "wb", compresslevel=1) as stream:
        stream.write(GOOD[0].tobuf() + GOOD[1].ljust(512, b"\0"))
        for _ in range(20):
            stream.write(bytes(2**20))
    assert refused(archive, place) == "expected headers of at most 1,048,576 bytes, found more"


def test_disk_too_small_for_a_zip(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variad.downloads.disk_space.shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
    size = sum(map(len, TREE.values()))
    with pytest.raises(UserError, match=rf"expected {size:,} free bytes for the files of a\.zip, found 100\."):
        extract(make_tree(place / "a.zip"), place / "data")
    assert names(place) == ["a.zip"]


@pytest.mark.parametrize("suffix", [".tar.xz", ".zip"])
def test_disk_that_fills_up(place: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = make_tree(place / f"a{suffix}")
    monkeypatch.setattr("variad.downloads.member_writing.open", lambda *_: Full(), raising=False)
    with pytest.raises(UserError, match=r"/000\.png: expected room to write it, found: No space left on device\.$"):
        extract(archive, place / "data", keep_archive=False)
    assert names(place) == [archive.name]
