"""Which files PATHs stand for."""

import os
from pathlib import Path

import pytest

from variad.inspect.photographs import list_photographs

NAMES = [
    "a.png",
    "b.JPG",
    "monday/c.tiff",
    "monday/deep/d.webp",
    "notes.txt",
    "monday/Thumbs.db",
    "README",
    ".hidden.png",
]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.usefixtures("photos")
class TestListing:
    def test_a_folder_with_all_in_it(self) -> None:
        listing = list_photographs(["photos"])
        assert listing.photographs == [
            "photos/a.png", "photos/b.JPG", "photos/monday/c.tiff", "photos/monday/deep/d.webp",
        ]  # fmt: skip
        assert listing.failures == []
        assert listing.others == {".txt": 1, ".db": 1, "": 1}
        assert listing.others_sentence() == (
            "3 files were not looked at, by the suffix no photograph: 1 without one, 1 .txt, 1 .db."
        )

    def test_what_is_named_is_a_photograph_whatever_it_is_called_and_is_listed_once(self) -> None:
        named = ["photos/notes.txt", "photos/.hidden.png", "photos/a.png", "photos/../photos/a.png", "./photos"]
        listing = list_photographs(named)
        assert listing.photographs[:3] == ["photos/notes.txt", "photos/.hidden.png", "photos/a.png"]
        assert [Path(path).name for path in listing.photographs[3:]] == ["b.JPG", "c.tiff", "d.webp"]

    def test_patterns(self) -> None:
        assert list_photographs(["photos/*.png"]).photographs == ["photos/a.png"]
        assert list_photographs(["photos/**/*.tif*"]).photographs == ["photos/monday/c.tiff"]
        listing = list_photographs(["photos/*"])
        assert listing.photographs == [
            "photos/a.png", "photos/b.JPG", "photos/monday/c.tiff", "photos/monday/deep/d.webp",
        ]  # fmt: skip
        assert listing.others == {".txt": 1, ".db": 1, "": 1}

    def test_a_name_that_looks_like_a_pattern_is_a_name_first(self) -> None:
        Path("photos/[1].png").touch()
        assert list_photographs(["photos/[1].png"]).photographs == ["photos/[1].png"]

    def test_what_is_not_there_is_said_and_the_rest_goes_on(self) -> None:
        os.mkfifo("photos/pipe.png")
        Path("photos/link.png").symlink_to("nowhere")
        named = ["photos/z.png", "nothing/*.png", "photos/pipe.png", "photos/link.png", "photos/a.png"]
        listing = list_photographs(named)
        assert listing.photographs == ["photos/a.png"]
        expected = "expected a photograph or a folder of them, found"
        assert listing.failures == [
            ("photos/z.png", f"photos/z.png: {expected} nothing."),
            ("nothing/*.png", f"nothing/*.png: {expected} nothing."),
            ("photos/pipe.png", f"photos/pipe.png: {expected} another kind of file."),
            ("photos/link.png", f"photos/link.png: {expected} a link that leads nowhere."),
        ]

    def test_links_are_followed_and_circles_are_not(self) -> None:
        Path("photos/round").symlink_to("..")
        Path("elsewhere").mkdir()
        Path("elsewhere/e.png").touch()
        Path("photos/to").symlink_to("../elsewhere")
        listing = list_photographs(["photos"])
        assert listing.photographs.count("photos/a.png") == 1
        assert {Path(path).name for path in listing.photographs} == {"a.png", "b.JPG", "c.tiff", "d.webp", "e.png"}

    def test_a_folder_that_may_not_be_read_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scandir = os.scandir

        def refuse(path: str):  # the tests may run as a user who may read everything
            if path == "photos/monday":
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        listing = list_photographs(["photos"])
        assert listing.photographs == ["photos/a.png", "photos/b.JPG"]
        assert listing.failures == [
            ("photos/monday", "photos/monday: expected a folder that can be read, found: Permission denied.")
        ]

    def test_a_folder_that_the_inspector_writes_is_left_out(self) -> None:
        listing = list_photographs(["photos"], leave_out=[Path("photos/monday")])
        assert listing.photographs == ["photos/a.png", "photos/b.JPG"]
