"""Folders as outputs."""

import pytest

from variad.core.errors import UserError
from variad.core.files import filling, incomplete_lists


def fill(folder, names):
    with filling(folder / "contents.txt") as inside:
        for name in names:
            (inside / name).parent.mkdir(parents=True, exist_ok=True)
            (inside / name).write_text(name)


def test_contents_are_listed_and_old_files_go(tmp_path):
    fill(tmp_path / "maps", ["a.tiff", "ü b/c.tiff"])
    assert (tmp_path / "maps/contents.txt").read_text("utf-8") == "a.tiff\nü b/c.tiff\n"
    fill(tmp_path / "maps", ["d.tiff"])
    assert not (tmp_path / "maps/a.tiff").exists()


def test_an_error_leaves_no_list(tmp_path):
    with pytest.raises(RuntimeError), filling(tmp_path / "maps/contents.txt") as inside:
        (inside / "a").write_text("")
        raise RuntimeError
    assert not (tmp_path / "maps/contents.txt").exists()


def test_a_list_is_incomplete_when_a_file_is_gone(tmp_path):
    fill(tmp_path / "whole", ["a"])
    fill(tmp_path / "empty", [])
    fill(tmp_path / "broken", ["a", "b"])
    (tmp_path / "broken/a").unlink()
    assert incomplete_lists([tmp_path]) == [tmp_path / "broken/contents.txt"]
    assert (tmp_path / "broken/contents.txt").read_text() == "a\nb\n"  # looking changes nothing


def test_files_in_folders_below_and_behind_links_count(tmp_path):
    fill(tmp_path / "maps", ["run_0/a.tiff", "run_1/a.tiff"])
    (tmp_path / "maps/run_1").rename(tmp_path / "elsewhere")
    assert incomplete_lists([tmp_path]) == [tmp_path / "maps/contents.txt"]
    (tmp_path / "maps/run_1").symlink_to(tmp_path / "elsewhere")
    assert incomplete_lists([tmp_path]) == []
    (tmp_path / "elsewhere/a.tiff").unlink()
    assert incomplete_lists([tmp_path]) == [tmp_path / "maps/contents.txt"]


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r", "#", "%", "?", "{a}", "'"])
def test_names_may_hold_what_elsewhere_ends_a_line(letter, tmp_path):
    fill(tmp_path / "maps", [f"a{letter}b.tiff", f"{letter}.tiff"])
    assert incomplete_lists([tmp_path]) == []
    (tmp_path / f"maps/{letter}.tiff").unlink()
    assert incomplete_lists([tmp_path]) == [tmp_path / "maps/contents.txt"]


@pytest.mark.parametrize("name", ["results/gallery/mine/../contents.txt", "../contents.txt", "contents.txt"])
def test_a_folder_that_is_another_than_its_path_says_is_not_emptied(tmp_path, monkeypatch, name):
    work = tmp_path / "work"
    (work / "results/gallery/mine").mkdir(parents=True)
    kept = [tmp_path / "kept", work / "kept", work / "results/gallery/kept"]
    for path in kept:
        path.write_text("")
    monkeypatch.chdir(work)
    for contents in (name, work / name):
        with pytest.raises(UserError, match="expected a file in a folder of its own"), filling(contents):
            raise AssertionError
    assert all(path.exists() for path in kept)
