"""An archive of a data set in its folder: what is in it, when it is unpacked again, and when nothing is done."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.downloads.archives import file_info, make_tar, make_tree
from tests.downloads.checks import expected_of, names, sha256
from tests.downloads.server import FileServer
from variad.downloads.sources import Source, fetch_source, mirrored, write_fetched
from variad.downloads.unpacking import lifted_folder, unpack_source
from variad.downloads.verification import Expected
from variad.downloads.weight_files import fetch_weights
from variad.errors import UserError
from variad.recorded_hash import record_path

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
        unpack_source(source, archives, contents)
    assert not contents.parent.exists()


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
        fetch_weights(source, tmp_path / "weights/small.pth", archives)
    assert names(tmp_path / "weights") == []
