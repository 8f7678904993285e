"""Members that do not belong below one folder: each is refused in one sentence, and nothing is written anywhere."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.downloads.archives import (
    GOOD,
    file_info,
    make_tar,
    make_zip,
    unix_info,
)
from tests.downloads.checks import refused

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
    assert sentence == f"member 'a/link': expected a link inside the archive, found a symbolic link to '{target}'"
    hard = file_info("a/link", type=tarfile.LNKTYPE, linkname=target)
    sentence = refused(make_tar(place / "a.tar", GOOD, (hard, b"")), place)
    assert sentence == f"member 'a/link': expected a link inside the archive, found a hard link to '{target}'"
    (place / "a.tar").unlink()
    sentence = refused(make_zip(place / "a.zip", (unix_info("a/link", 0o120777), target.encode())), place)
    assert sentence == f"member 'a/link': expected a link inside the archive, found a symbolic link to '{target}'"


def test_writing_through_a_link(place: Path) -> None:
    link = file_info("out", type=tarfile.SYMTYPE, linkname="../..")
    sentence = refused(make_tar(place / "a.tar", (link, b""), (file_info("out/victim", 4), b"evil")), place)
    assert sentence.startswith("member 'out': expected a link inside the archive")


def test_writing_through_a_link_to_a_folder_inside(place: Path) -> None:
    link = file_info("b", type=tarfile.SYMTYPE, linkname="a")
    members = [(file_info("a", type=tarfile.DIRTYPE), b""), (link, b""), (file_info("b/evil", 4), b"evil")]
    assert "found a symbolic link to 'a'" in refused(make_tar(place / "a.tar", *members), place)


def test_chain_of_links(place: Path) -> None:
    links = [
        (file_info("a", type=tarfile.SYMTYPE, linkname="b"), b""),
        (file_info("b", type=tarfile.SYMTYPE, linkname="good.txt"), b""),
    ]
    sentence = refused(make_tar(place / "a.tar", GOOD, *links), place)
    assert sentence == "member 'a': expected a link to a file of the archive, found a symbolic link to 'b'"


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
