"""Folders as outputs."""

import pytest

from variad.contents import filling, retract_incomplete


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


def test_a_list_is_retracted_when_a_file_is_gone(tmp_path):
    fill(tmp_path / "whole", ["a"])
    fill(tmp_path / "broken", ["a", "b"])
    (tmp_path / "broken/a").unlink()
    assert retract_incomplete([tmp_path]) == [tmp_path / "broken/contents.txt"]
    assert not (tmp_path / "broken/contents.txt").exists()
    assert (tmp_path / "whole/contents.txt").exists()
