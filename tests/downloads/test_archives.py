"""Unpacking what is meant well: every format, every byte, once, with permissions that let it be deleted again."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from tests.downloads.archives import SUFFIXES, TREE, file_info, make_tar, make_tree, make_zip, unix_info
from tests.downloads.checks import names
from variad.core.errors import UserError
from variad.downloads.archives import extract


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".zip"])
def test_every_format_gives_the_tree(tmp_path: Path, suffix: str) -> None:
    archive = make_tree(tmp_path / f"data{suffix}")
    extract(archive, tmp_path / "deep" / "data")
    assert files_below(tmp_path / "deep" / "data") == TREE
    assert names(tmp_path / "deep") == ["data"]
    assert archive.exists()


@pytest.mark.parametrize("suffix", [".tar.xz", ".zip"])
def test_format_is_seen_in_the_bytes_not_in_the_name(tmp_path: Path, suffix: str) -> None:
    archive = make_tree(tmp_path / f"data{suffix}").rename(tmp_path / "download")
    extract(archive, tmp_path / "data")
    assert files_below(tmp_path / "data") == TREE
    assert names(tmp_path) == ["data", "download"]


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
@pytest.mark.parametrize("mode", [0o000, 0o444, 0o7777])
def test_permissions_and_times_are_those_of_new_files(tmp_path: Path, suffix: str, mode: int) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    extract(make_tree(tmp_path / f"data{suffix}", mode, mode), tmp_path / "data")
    for path in (tmp_path / "data", *(tmp_path / "data").rglob("*")):
        own = tmp_path / "mine" if path.is_dir() else tmp_path / "mine" / "file"
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(own.stat().st_mode)
        assert path.stat().st_mtime >= own.stat().st_mtime - 1


def test_archive_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(500_000)
    archive = make_tar(tmp_path / "a.tar.xz", (file_info("a.bin", len(content)), content), mode="w:xz")
    read = 0
    opened = open

    class Counting(io.FileIO):
        def readinto(self, buffer) -> int:
            nonlocal read
            read += (count := super().readinto(buffer) or 0)
            return count

    def counting(path, mode="r", **settings):
        return io.BufferedReader(Counting(path)) if path == archive else opened(path, mode, **settings)

    monkeypatch.setattr("variad.downloads.archives.open", counting, raising=False)
    extract(archive, tmp_path / "data")
    assert (tmp_path / "data" / "a.bin").read_bytes() == content
    size = archive.stat().st_size
    assert size <= read <= size + 2 * io.DEFAULT_BUFFER_SIZE  # the first bytes twice, to see the format


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz", ".tar.bz2"])
def test_compressed_in_several_streams(tmp_path: Path, suffix: str) -> None:
    import bz2
    import gzip
    import lzma

    compress = {".tar.gz": gzip.compress, ".tar.xz": lzma.compress, ".tar.bz2": bz2.compress}[suffix]
    plain = make_tree(tmp_path / "plain.tar").read_bytes()
    archive = tmp_path / f"data{suffix}"
    archive.write_bytes(b"".join(compress(plain[start : start + 10_000]) for start in range(0, len(plain), 10_000)))
    extract(archive, tmp_path / "data")
    assert files_below(tmp_path / "data") == TREE


def test_long_names_of_every_tar_dialect(tmp_path: Path) -> None:
    name = "/".join(["folder" * 20] * 6) + "/file"
    for dialect in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive = make_tar(tmp_path / f"{dialect}.tar", (file_info(name, 3), b"abc"), format=dialect)
        extract(archive, tmp_path / str(dialect))
        assert files_below(tmp_path / str(dialect)) == {name: b"abc"}


def test_links_to_files_of_the_archive_stay(tmp_path: Path) -> None:
    archive = make_tar(
        tmp_path / "a.tar",
        (file_info("images/soft", type=tarfile.SYMTYPE, linkname="../originals/./a.png"), b""),
        (file_info("images/hard", type=tarfile.LNKTYPE, linkname="originals/a.png"), b""),
        (file_info("originals/a.png", 5), b"image"),
    )
    extract(archive, tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "images" / "soft").readlink() == Path("../originals/a.png")
    assert (tmp_path / "moved" / "images" / "soft").read_bytes() == b"image"
    assert (tmp_path / "moved" / "images" / "hard").samefile(tmp_path / "moved" / "originals" / "a.png")


def test_link_in_a_zip_stays(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", (unix_info("b/link", 0o120777), b"../a"), ("a", b"content"))
    extract(archive, tmp_path / "data")
    assert (tmp_path / "data" / "b" / "link").readlink() == Path("../a")


def test_empty_target_is_used_and_a_full_one_is_not(tmp_path: Path) -> None:
    archive = make_tree(tmp_path / "data.zip")
    (tmp_path / "data").mkdir()
    extract(archive, tmp_path / "data")
    with pytest.raises(UserError, match=rf"^{tmp_path}/data: expected no such folder before unpacking"):
        extract(archive, tmp_path / "data")
    assert files_below(tmp_path / "data") == TREE


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".data.unpacking"
    (left / "bottle").mkdir(parents=True)
    (left / "bottle" / "half").write_text("half")
    (left / "readme.txt").symlink_to(tmp_path / "victim")
    extract(make_tree(tmp_path / "data.zip"), tmp_path / "data")
    assert files_below(tmp_path / "data") == TREE
    assert names(tmp_path) == ["data", "data.zip"]


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.zip: expected an archive, found no such file\."):
        extract(tmp_path / "none.zip", tmp_path / "data")
    assert names(tmp_path) == []
