"""Whether a user's files are those that were listed: what Snakemake's look at times would miss."""

import json
import os

import pytest

from variad.core.checksums import damages_of, write_checksums
from variad.core.files import checksums_path, sha256
from variad.datasets.changes import KnownFiles, hashes_of, stamps_of, version_of, write_known_files


@pytest.fixture
def folder(tmp_path):
    """Three files, one of them in a folder of a folder, one hidden."""
    for name in ("a.png", "monday/late/b.png", ".hidden.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "photos"


def record_of(folder):
    """``files.json`` as a job leaves it, and its version."""
    record, stamps = folder.parent / "files.json", stamps_of([folder])
    version = version_of(record, stamps)
    write_known_files(record, version, stamps, {name: sha256(name) for name in stamps})
    return record, version


def seen(record, folder):
    return version_of(record, stamps_of([folder]))


def test_files_are_those_in_folders_and_below_that_are_not_hidden(folder):
    assert list(stamps_of([folder, folder / "a.png", folder / "gone"])) == [
        str(folder / "a.png"),
        str(folder / "monday/late/b.png"),
    ]


def test_what_may_be_an_image_alone(folder):
    """What tools leave beside photographs must not have a split listed anew, and all that follows made anew."""
    for name in ("notes.txt", "Thumbs.db", "@eaDir/a.png/THUMB_M.jpg", "late.PNG"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    names = [os.path.relpath(name, folder) for name in stamps_of([folder], images_alone=True)]
    assert names == ["a.png", "late.PNG", "monday/late/b.png"]
    assert len(stamps_of([folder])) == 6
    snapshot = folder.rename(folder.parent / "#snapshot")  # what lies above is no matter
    assert len(stamps_of([snapshot], images_alone=True)) == 3


def test_files_that_go_or_cannot_be_read_stop_nothing(folder, monkeypatch):
    """As while a colleague copies photographs, or after another's `chmod`."""
    record, version = record_of(folder)
    path, stat = folder / "a.png", os.stat

    def gone(name, *args, **options):
        if os.fspath(name) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(name, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr("os.stat", gone)
        assert list(stamps_of([folder])) == [str(folder / "monday/late/b.png")]
    os.utime(path, (1, 1))
    monkeypatch.setattr("variad.datasets.changes.sha256", lambda name: gone(name))
    stamps = stamps_of([folder])
    other = version_of(record, stamps)
    assert other != version
    hashes = hashes_of(KnownFiles(record), stamps)
    assert hashes[str(path)] == "" and len(hashes[str(folder / "monday/late/b.png")]) == 64
    write_known_files(record, other, stamps, hashes)
    assert version_of(record, stamps) == other  # and so it stays until the file moves again


def test_the_version_stays_while_the_contents_do(folder):
    record, version = record_of(folder)
    assert seen(record, folder) == version
    os.utime(folder / "a.png", (1, 1))  # an older time, the same content
    assert seen(record, folder) == version
    (folder / "notes").mkdir()
    (folder / ".hidden.png").write_bytes(b"other")
    assert seen(record, folder) == version


def overwritten_in_place(folder):
    with open(folder / "monday/late/b.png", "r+b") as stream:
        stream.write(b"M")


def restored_with_its_old_time(folder):
    path = folder / "a.png"
    before = path.stat()
    path.write_bytes(b"A.png")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def linked_to_another(folder):
    """What a link leads to has the size and the time of change of what it led to before."""
    (folder / "link.png").unlink()
    (folder / "link.png").symlink_to(folder.parent / "two.png")


def added_below(folder):
    (folder / "monday/late/c.png").write_bytes(b"c")


def removed(folder):
    (folder / "a.png").unlink()


def renamed(folder):
    (folder / "a.png").rename(folder / "z.png")


@pytest.mark.parametrize(
    "change", [overwritten_in_place, restored_with_its_old_time, linked_to_another, added_below, removed, renamed]
)
def test_the_version_is_another_where_a_content_is(folder, change):
    for name in ("one.png", "two.png"):
        (folder.parent / name).write_bytes(name.encode())
        os.utime(folder.parent / name, (5, 5))
    (folder / "link.png").symlink_to(folder.parent / "one.png")
    record, version = record_of(folder)
    change(folder)
    other = seen(record, folder)
    assert other != version
    assert seen(record, folder) == other  # the same answer each time that one looks
    again, noted = record_of(folder)
    assert noted == other == seen(again, folder)


def test_a_change_that_is_taken_back_is_none(folder):
    record, version = record_of(folder)
    kept = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(b"A.png")
    assert seen(record, folder) != version
    (folder / "a.png").write_bytes(kept)
    assert seen(record, folder) == version


def test_times_that_moved_are_noted_and_changes_are_not(folder, monkeypatch):
    record, version = record_of(folder)
    before = record.read_bytes()
    os.utime(folder / "a.png", (1, 1))
    assert seen(record, folder) == version and record.read_bytes() == before  # a dry run changes nothing
    assert version_of(record, stamps_of([folder]), note=True) == version
    noted = json.loads(record.read_text())
    assert noted["version"] == version
    assert noted["files"][str(folder / "a.png")][:2] == [5, 10**9]
    with monkeypatch.context() as patch:
        patch.setattr("variad.datasets.changes.sha256", pytest.fail)  # nothing is hashed again
        assert version_of(record, stamps_of([folder]), note=True) == version
    before = record.read_bytes()
    (folder / "a.png").write_bytes(b"other")
    version_of(record, stamps_of([folder]), note=True)
    assert record.read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", '{"version": "x"}', "[]"])
def test_a_record_that_was_not_written_whole_knows_nothing(folder, content, tmp_path):
    record = tmp_path / "files.json"
    record.write_text(content)
    stamps = stamps_of([folder])
    assert version_of(record, stamps) == version_of(tmp_path / "none", stamps)
    assert KnownFiles(record).sha256(folder / "a.png") == sha256(folder / "a.png")


def test_a_damaged_record_knows_nothing(folder):
    """One digit of a hash is another: it reads as well as before, and would become the hash of the manifest."""
    record, version = record_of(folder)
    write_checksums(record)
    assert seen(record, folder) == version
    known = sha256(folder / "a.png")
    text = record.read_text()
    record.write_text(text.replace(known, known[:-1] + ("0" if known[-1] != "0" else "1")))
    assert KnownFiles(record).sha256(folder / "a.png") == known
    os.utime(folder / "a.png", (1, 1))
    assert seen(record, folder) != version  # no hash vouches for a file that was touched: it is listed anew


def test_noted_times_are_recorded(folder):
    record, version = record_of(folder)
    write_checksums(record)
    os.utime(folder / "a.png", (1, 1))
    assert version_of(record, stamps_of([folder]), note=True) == version
    assert damages_of(record) == [] and checksums_path(record).is_file()


def test_links_in_a_circle_end_and_two_links_to_a_folder_both_count(folder):
    (folder / "monday/up").symlink_to(folder)
    (folder / "tuesday").symlink_to(folder / "monday/late")
    names = {os.path.relpath(name, folder) for name in stamps_of([folder])}
    assert {"a.png", "monday/late/b.png", "tuesday/b.png"} <= names and len(names) < 8


def test_a_folder_that_moves_stays_what_it_was(folder, tmp_path):
    record, stamps = tmp_path / "files.json", stamps_of([folder])
    version = version_of(record, stamps, folder)
    write_known_files(record, version, stamps, {name: sha256(name) for name in stamps}, folder)
    assert str(tmp_path) not in record.read_text()
    moved = folder.rename(tmp_path / "elsewhere")
    assert version_of(record, stamps_of([moved]), moved, note=True) == version
    assert KnownFiles(record, moved).is_still(stamps_of([moved]))
    (moved / "a.png").write_bytes(b"other")
    assert version_of(record, stamps_of([moved]), moved) != version
