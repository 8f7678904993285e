"""Archives that nobody should unpack: each is refused in one sentence, and nothing is written anywhere."""

import errno
import gzip
import io
import multiprocessing
import os
import struct
import tarfile
import time
import tracemalloc
import zipfile
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
    old_sparse_header,
    unix_info,
)
from tests.downloads.checks import names, refused
from variad.core.errors import UserError
from variad.downloads.archives import extract

NAMES = {
    "../evil": "expected a path inside the archive, found '..'",
    "../../victim": "expected a path inside the archive, found '..'",
    "a/../../evil": "expected a path inside the archive, found '..'",
    "a/..": "expected a path inside the archive, found '..'",
    "..": "expected a path inside the archive, found '..'",
    "/etc/evil": "expected a path relative to the archive, found an absolute one",
    "//etc/evil": "expected a path relative to the archive, found an absolute one",
    "C:/evil": "expected a path relative to the archive, found an absolute one",
    "c:evil": "expected a path relative to the archive, found an absolute one",
    "..\\evil": "expected a path with forward slashes, found a backslash",
    "a/\x1b[2Jb": "expected a name in printable UTF-8, found other bytes",
    "a\nb": "expected a name in printable UTF-8, found other bytes",
    "a\u202eb": "expected a name in printable UTF-8, found other bytes",
    "a/" + "n" * 256: "expected names of at most 255 bytes, found a longer one",
    "a/" + "ü" * 128: "expected names of at most 255 bytes, found a longer one",
    "a/" * 3000 + "b": "expected a name of 1 to 4096 characters, found 6001",
    ".": "expected a name, found none",
    "": "expected a name of 1 to 4096 characters, found 0",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_in_tar(place: Path, name: str) -> None:
    sentence = refused(make_tar(place / "a.tar.gz", GOOD, (file_info(name, 4), b"evil"), mode="w:gz"), place)
    assert sentence.startswith(f"member {ascii(name)[:100]}"[:100])
    assert sentence.endswith(f": {NAMES[name]}")


@pytest.mark.parametrize("name", [*NAMES, "a\0b"])
def test_names_in_zip(place: Path, name: str) -> None:
    info = zipfile.ZipInfo("replaced")
    info.filename = name
    sentence = refused(make_zip(place / "a.zip", ("good.txt", b"good"), (info, b"evil")), place)
    assert sentence.endswith(f": {NAMES.get(name, 'expected a name in printable UTF-8, found other bytes')}")


def test_nul_in_a_pax_name(place: Path) -> None:
    info = file_info("short", 4)
    info.pax_headers = {"path": "good\0/../evil"}
    assert "found other bytes" in refused(make_tar(place / "a.tar", GOOD, (info, b"evil")), place)


def test_bytes_that_are_not_utf8(place: Path) -> None:
    archive = place / "a.tar"
    make_tar(archive, (file_info("caf\udce9.png", 4), b"evil"), format=tarfile.GNU_FORMAT)
    assert refused(archive, place) == r"member 'caf\udce9.png': expected a name in printable UTF-8, found other bytes"
    archive.unlink()
    archive = make_zip(place / "a.zip", ("cafX.png", b"evil"))
    archive.write_bytes(archive.read_bytes().replace(b"cafX", b"caf\xe9"))
    assert "found other bytes" in refused(archive, place)


@pytest.mark.parametrize("target", ["../../victim", "/etc/passwd", "../../../../etc/passwd", "x/../../../victim"])
def test_links_that_lead_out(place: Path, target: str) -> None:
    soft = file_info("a/link", type=tarfile.SYMTYPE, linkname=target)
    sentence = refused(make_tar(place / "a.tar", GOOD, (soft, b"")), place)
    assert sentence == f"member 'a/link': expected a link inside the archive, found a link to '{target}'"
    hard = file_info("a/link", type=tarfile.LNKTYPE, linkname=target)
    sentence = refused(make_tar(place / "a.tar", GOOD, (hard, b"")), place)
    assert sentence == f"member 'a/link': expected a link inside the archive, found a link to '{target}'"
    (place / "a.tar").unlink()
    sentence = refused(make_zip(place / "a.zip", (unix_info("a/link", 0o120777), target.encode())), place)
    assert sentence == f"member 'a/link': expected a link inside the archive, found a link to '{target}'"


def test_writing_through_a_link(place: Path) -> None:
    link = file_info("out", type=tarfile.SYMTYPE, linkname="../..")
    sentence = refused(make_tar(place / "a.tar", (link, b""), (file_info("out/victim", 4), b"evil")), place)
    assert sentence.startswith("member 'out': expected a link inside the archive")


def test_writing_through_a_link_to_a_folder_inside(place: Path) -> None:
    link = file_info("b", type=tarfile.SYMTYPE, linkname="a")
    members = [(file_info("a", type=tarfile.DIRTYPE), b""), (link, b""), (file_info("b/evil", 4), b"evil")]
    assert "found a link to 'a'" in refused(make_tar(place / "a.tar", *members), place)


def test_chain_of_links(place: Path) -> None:
    links = [
        (file_info("a", type=tarfile.SYMTYPE, linkname="b"), b""),
        (file_info("b", type=tarfile.SYMTYPE, linkname="good.txt"), b""),
    ]
    sentence = refused(make_tar(place / "a.tar", GOOD, *links), place)
    assert sentence == "member 'a': expected a link to a file of the archive, found a link to 'b'"


def test_links_to_nothing_and_to_itself(place: Path) -> None:
    for target in ("none", "link", "", "."):
        link = file_info("link", type=tarfile.SYMTYPE, linkname=target)
        sentence = refused(make_tar(place / "a.tar", GOOD, (link, b"")), place)
        assert "expected a link to a file of the archive" in sentence


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_and_pipes_in_tar(place: Path, kind: bytes) -> None:
    device = file_info("null", type=kind, devmajor=1, devminor=3)
    sentence = refused(make_tar(place / "a.tar", GOOD, (device, b"")), place)
    assert sentence == (
        "member 'null': expected a file, a folder or a link, found a device, pipe or other special file"
    )


@pytest.mark.parametrize("mode", [0o020666, 0o060666, 0o010666, 0o140666])
def test_devices_and_pipes_in_zip(place: Path, mode: int) -> None:
    assert "found a device" in refused(make_zip(place / "a.zip", (unix_info("null", mode), b"")), place)


def test_encrypted_zip(place: Path) -> None:
    archive = make_zip(place / "a.zip", ("secret", b"content"))
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert refused(archive, place) == "member 'secret': expected a file, a folder or a link, found an encrypted file"


def test_name_twice(place: Path) -> None:
    taken = "expected a name that no other member has, found it taken"
    again = (file_info("./good.txt", 4), b"evil")
    assert refused(make_tar(place / "a.tar", GOOD, again), place) == f"member './good.txt': {taken}"
    under = (file_info("good.txt/evil", 4), b"evil")
    assert refused(make_tar(place / "a.tar", GOOD, under), place) == f"member 'good.txt/evil': {taken}"
    folder = (file_info("good.txt", type=tarfile.DIRTYPE), b"")
    assert refused(make_tar(place / "a.tar", GOOD, folder), place) == f"member 'good.txt': {taken}"
    assert refused(make_tar(place / "a.tar", folder, GOOD), place) == f"member 'good.txt': {taken}"
    link = (file_info("good.txt", type=tarfile.SYMTYPE, linkname="good.txt"), b"")
    assert refused(make_tar(place / "a.tar", GOOD, link), place) == f"member 'good.txt': {taken}"
    (place / "a.tar").unlink()
    with pytest.warns(UserWarning, match="Duplicate"):
        archive = make_zip(place / "a.zip", ("a", b"1"), ("a", b"2"))
    assert refused(archive, place) == f"member 'a': {taken}"


# bombs: archives that would fill the disk or the memory


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
    monkeypatch.setattr("variad.downloads.archives._write", lambda *_: pytest.fail("began to write"))
    assert "to hold at most 67,108,864 bytes of files, found at least 80,000,000" in refused(archive, place)


def limit(monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    """Let archives unpack to less, or more, than they may."""
    for name, value in limits.items():
        monkeypatch.setattr(f"variad.downloads.archives.{name}", value)


def test_ratio_counts_from_its_floor_and_size_always(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(1000) + bytes(99_000)
    archive = make_zip(place / "a.zip", ("a.bin", content))
    size = archive.stat().st_size
    with monkeypatch.context() as patch:
        limit(patch, MOST_BYTES=99_999)
        assert "to hold at most 99,999 " in refused(archive, place)
    limit(monkeypatch, MOST_TIMES=50.0, ANYWAY=1)
    sentence = refused(archive, place)
    assert f"of {size:,} bytes to hold at most {50 * size:,} bytes of files, found at least 100,000" in sentence
    limit(monkeypatch, MOST_TIMES=50.0, ANYWAY=100_000, MOST_BYTES=100_000)
    extract(archive, place / "data")
    assert (place / "data" / "a.bin").read_bytes() == content


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_number_of_members(place: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_tree(place / f"a{suffix}")
    limit(monkeypatch, MOST_MEMBERS=4)
    assert refused(archive, place) == "expected at most 4 members, found more"


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


def test_file_of_less_than_no_bytes(place: Path) -> None:
    (place / "a.tar").write_bytes(file_info("a", -512).tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert refused(place / "a.tar", place) == "member 'a': expected -512 bytes, found 0"


def test_path_too_long_for_the_system(place: Path) -> None:
    name = "/".join(["n" * 250] * 16) + "/" + "m" * 74  # 4,090 characters, and the folder's own
    archive = make_tar(place / "a.tar", GOOD, (file_info(name, 4), b"evil"))
    with pytest.raises(UserError, match=r"/\.data\.unpacking: expected room and .*, found: File name too long\.$"):
        extract(archive, place / "data")
    assert names(place) == ["a.tar"]


def test_python_without_the_filter(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("tarfile.data_filter")
    assert refused(make_tar(place / "a.tar", GOOD), place).startswith("expected Python 3.11.4 or newer to unpack it")


def test_headers_without_end(place: Path) -> None:
    header = file_info("././@LongLink", 1, type=tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT)
    (place / "a.tar").write_bytes((header + b"a".ljust(512, b"\0")) * 900)
    assert refused(place / "a.tar", place).startswith(
        "expected a whole zip or tar (plain, gz, xz, bz2), found: maximum "
    )


def test_zeros_without_end_after_the_last_member(place: Path) -> None:
    archive = place / "a.tar.gz"
    with gzip.open(archive, "wb", compresslevel=1) as stream:
        stream.write(GOOD[0].tobuf() + GOOD[1].ljust(512, b"\0"))
        for _ in range(20):
            stream.write(bytes(2**20))
    assert refused(archive, place) == "expected headers of at most 1,048,576 bytes, found more"


def test_disk_too_small_for_a_zip(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variad.downloads.transfer.shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
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
    opened = open
    monkeypatch.setattr(
        "variad.downloads.archives.open",
        lambda path, mode: Full() if mode == "xb" else opened(path, mode),
        raising=False,
    )
    with pytest.raises(
        UserError,
        match=r"\.data\.unpacking: expected room to write, found no space left on the disk; make room there",
    ):
        extract(archive, place / "data")
    assert names(place) == [archive.name]


# archives that are cut off, damaged or none at all, and a second process in the same folder


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_cut_off(place: Path, suffix: str, part: float) -> None:
    archive = make_tree(place / f"a{suffix}")
    archive.write_bytes(archive.read_bytes()[: int(part * archive.stat().st_size)])
    assert refused(archive, place).startswith("expected a whole")


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


def test_damaged_header_of_an_empty_file_at_the_end_is_not_taken_for_it(place: Path) -> None:
    archive = make_tar(place / "a.tar", GOOD, (file_info("empty"), b""))
    content = bytearray(archive.read_bytes())
    content[1024] ^= 1
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
    import variad.downloads.archives as archives

    def wait(*_) -> None:
        started.set()
        time.sleep(60)

    archives._write = wait  # type: ignore[assignment]
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
