"""A published file on this machine: recorded where it has no hash, unpacked into its folder once, weights taken out."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.downloads.archives import file_info, make_tar, make_tree
from tests.downloads.checks import expected_of, names, sha256
from tests.downloads.server import Fault, FileServer
from variad.core.errors import UserError
from variad.core.files import record_path, verify_recorded
from variad.downloads.catalogue import Expected, Source, lifted_folder
from variad.downloads.sources import (
    fetch_source,
    fetch_weights,
    mirrored,
    unpack_source,
    write_fetched,
)
from variad.downloads.transfer import Fetched

pytestmark = pytest.mark.usefixtures("waits")

Publish = Callable[..., Source]


@pytest.fixture
def publish(server: FileServer, tmp_path: Path) -> Publish:
    def served(*files: str, **fields: object) -> Source:
        """A source whose archive holds files that have their own name as content."""
        members = [(file_info(name, len(name)), name.encode()) for name in files]
        content = make_tar(tmp_path / "made.tar.gz", *members, mode="w:gz").read_bytes()
        url = server.publish("/things.tgz", content)
        return Source("Things", url, "things.tgz", "http://home", expected_of(content), **fields)  # type: ignore[arg-type]

    return served


@pytest.fixture
def contents(tmp_path: Path) -> Path:
    return tmp_path / "downloads/things/contents.txt"


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    return tmp_path / "downloads/archives"


def test_files_are_listed(publish: Publish, archives: Path, contents: Path) -> None:
    unpack_source(publish("b/2.png", "b/1.png", "a.txt"), archives, contents)
    assert contents.read_text() == "a.txt\nb/1.png\nb/2.png\n"
    assert (contents.parent / "b/2.png").read_text() == "b/2.png"
    assert names(contents.parent) == [".archive.json", "a.txt", "b", "contents.txt"]
    assert names(archives) == ["things.tgz"]


def test_top_folder_is_left_out(publish: Publish, archives: Path, contents: Path) -> None:
    unpack_source(publish("top/b/1.png", "top/top/x", "readme", top_folder="top"), archives, contents)
    assert contents.read_text() == "b/1.png\nreadme\ntop/x\n"


def test_top_folder_that_is_not_there(publish: Publish, archives: Path, contents: Path) -> None:
    unpack_source(publish("b/1.png", top_folder="top"), archives, contents)
    assert contents.read_text() == "b/1.png\n"


def test_name_in_the_top_folder_and_beside_it(publish: Publish, archives: Path, contents: Path) -> None:
    source = publish("top/readme", "readme", top_folder="top")
    with pytest.raises(UserError, match=r"things: expected one 'readme' in the archive, found it in 'top' too\.$"):
        unpack_source(source, archives, contents, keep_archive=False)
    assert not contents.parent.exists()
    assert names(archives) == ["things.tgz"]  # only a success removes it


def test_top_folder_of_a_copy(publish: Publish, tmp_path: Path) -> None:
    source = publish("a", top_folder="top")
    assert lifted_folder(tmp_path, source) == tmp_path
    (tmp_path / "top").mkdir()
    assert lifted_folder(tmp_path, source) == tmp_path / "top"
    assert lifted_folder(tmp_path, dataclasses.replace(source, top_folder=None)) == tmp_path


def test_same_archive_is_not_unpacked_twice(
    publish: Publish, archives: Path, contents: Path, server: FileServer
) -> None:
    source = publish("a", "b")
    unpack_source(source, archives, contents, keep_archive=False)
    assert names(archives) == []
    before = (contents.parent / "a").stat().st_ino
    contents.unlink()
    unpack_source(source, archives, contents, keep_archive=False)
    assert contents.read_text() == "a\nb\n"
    assert (contents.parent / "a").stat().st_ino == before and len(server.answers) == 1


@pytest.mark.parametrize("damage", ["lost", "added", "no note", "half a note"])
def test_other_files_than_the_archives_are_unpacked_again(
    publish: Publish, archives: Path, contents: Path, damage: str
) -> None:
    source = publish("a", "b")
    unpack_source(source, archives, contents)
    note = contents.parent / ".archive.json"
    if damage == "lost":
        (contents.parent / "b").unlink()
    elif damage == "added":
        (contents.parent / "c").write_text("c")
    elif damage == "no note":
        note.unlink()
    else:
        note.write_text(note.read_text()[:20])
    unpack_source(source, archives, contents)
    assert contents.read_text() == "a\nb\n" and (contents.parent / "b").read_text() == "b"


def test_other_archive_takes_the_place_of_the_first(publish: Publish, archives: Path, contents: Path) -> None:
    unpack_source(publish("a"), archives, contents, keep_archive=False)
    unpack_source(publish("a", "z"), archives, contents)
    assert contents.read_text() == "a\nz\n"


def test_archive_that_changed_on_the_disk_is_refused(publish: Publish, archives: Path, contents: Path) -> None:
    source = publish("a")
    fetch_source(source, archives)
    make_tree(archives / "other.tar.gz").replace(archives / "things.tgz")
    with pytest.raises(UserError, match=f"things.tgz: expected {source.expected.size} bytes"):
        unpack_source(source, archives, contents)
    assert not contents.parent.exists()


def test_mirror_keeps_the_publishers_hash_unless_it_has_its_own(publish: Publish) -> None:
    source = publish("a")
    assert mirrored(source) == source
    assert mirrored(source, url="http://near/a").expected == source.expected
    assert mirrored(source, url="http://near/a").url == "http://near/a"
    assert mirrored(source, sha256="0" * 64) == dataclasses.replace(source, expected=Expected(sha256="0" * 64))


def test_record_of_a_download(publish: Publish, archives: Path) -> None:
    source = publish("a")
    write_fetched(archives / "r.json", source, fetch_source(source, archives))
    assert json.loads((archives / "r.json").read_text()) == {
        "title": "Things",
        "file": "things.tgz",
        "url": source.url,
        "sha256": source.expected.sha256,
        "size": source.expected.size,
        "licence": None,
        "home": "http://home",
    }


def test_member_of_an_archive_of_weights(publish: Publish, archives: Path, tmp_path: Path) -> None:
    target = tmp_path / "downloads/weights/small.pth"
    fetch_weights(publish("w/small.pth", "w/large.pth", members=("small.pth",)), target, archives)
    assert target.read_text() == "w/small.pth"
    assert json.loads(record_path(target).read_text())["sha256"] == sha256(b"w/small.pth")
    assert names(target.parent) == ["small.pth", "small.pth.sha256.json"]


@pytest.mark.parametrize(("files", "found"), [(["w/large.pth"], 0), (["w/small.pth", "v/small.pth"], 2)])
def test_member_that_is_not_there_once(
    publish: Publish, archives: Path, tmp_path: Path, files: list[str], found: int
) -> None:
    source = publish(*files, members=("small.pth",))
    with pytest.raises(UserError, match=rf"things.tgz: expected one file 'small.pth' in it, found {found}\.$"):
        fetch_weights(source, tmp_path / "weights/small.pth", archives, keep_archive=False)
    assert names(tmp_path / "weights") == [] and names(archives) == ["things.tgz"]


def fetch_recorded(url: str, target: Path) -> Fetched:
    """Fetch a file whose publisher gives no hash."""
    return fetch_source(Source("Weights", url, target.name, "http://home"), target.parent)


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
