"""The contact sheet shows the right pictures in the right places."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from variad.core.errors import UserError
from variad.core.tables import read_table
from variad.generation.added import duplicate, no_images, write_added
from variad.generation.settings import Request
from variad.generation.unlabelled import chosen_images, joined
from variad.report import drawing
from variad.report.contact_sheet import (
    CHOSEN,
    COLUMNS,
    SIDE_BY_SIDE,
    STEP_BY_STEP,
    bands_of,
    choose_rows,
    draw_contact_sheet,
    draw_side_by_side,
)

from .synthetic_study import Study, build_category, flat


def draw(study: Study, training_set: str) -> np.ndarray:
    target = study.root / f"{training_set}.png"
    shots = read_table(study.folder / "shots.csv", "shots")
    added = study.folder / "one_shot" / training_set / "added.h5"
    draw_contact_sheet(target, "Löt ß", [study.folder / "images.h5"], added, shots)
    with Image.open(target) as sheet:
        return np.asarray(sheet).astype(int)


def tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    left, top = STEP_BY_STEP.at(row, column)
    return sheet[top : top + STEP_BY_STEP.tile, left : left + STEP_BY_STEP.tile]


def test_choose_rows_prefers_kept_steps_and_spaces_evenly() -> None:
    accepted = np.ones(100, bool)
    assert choose_rows(accepted, [], count=3) == [0, 50, 99]
    assert choose_rows(accepted, [9, 3, 6], count=2) == [3, 9]
    assert choose_rows(accepted, [4], count=12) == [4]


def test_choose_rows_shows_a_rejected_image_if_there_is_one() -> None:
    accepted = np.ones(100, bool)
    accepted[37] = False
    assert choose_rows(accepted, [], count=4) == [0, 33, 37, 66]


def test_guided_sheet_shows_parent_steps_result_and_verdict(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    sheet = draw(study, "generated")
    with h5py.File(study.folder / "one_shot" / "generated" / "added.h5") as file:
        accepted = file["accepted"][:]
    # Kept steps are those of images 0, 2, 4 ...: run 0's parent has grey 20, run 1's grey 30; added ones are inverted.
    for row, index in enumerate(range(0, 12, 2)):
        grey = 20 if index < 6 else 30
        assert (tile(sheet, row, 0) == grey).all()
        assert all((tile(sheet, row, column) == 255 - grey).all() for column in (1, 2, 3, 4))
        left, top = STEP_BY_STEP.at(row, 4)
        assert tuple(sheet[top + 5, left - 2]) == (drawing.ACCEPTED if accepted[index] else drawing.REJECTED)


def test_unguided_sheet_has_no_steps(tmp_path: Path) -> None:
    sheet = draw(build_category(Study(tmp_path)), "duplicated")
    assert (tile(sheet, 0, 0) == 20).all()
    assert (tile(sheet, 0, 1) == 235).all()


def test_original_shows_the_shots_of_every_run(tmp_path: Path) -> None:
    sheet = draw(build_category(Study(tmp_path, runs=3)), "original")
    assert [int(tile(sheet, row, 0).mean()) for row in range(3)] == [20, 30, 40]


def test_a_parent_that_is_no_image_is_told(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    with h5py.File(study.folder / "images.h5", "a") as file:
        file["image_id"][0] = "train/good/other"
    with pytest.raises(UserError, match="expected image 'train/good/<script>"):
        draw(study, "generated")
    assert not (study.root / "generated.png").exists()


def test_side_by_side_each_set_is_a_row_of_parent_and_images(tmp_path: Path) -> None:
    colours = np.array([[250, 0, 0], [0, 250, 0]], np.uint8)
    parents = np.broadcast_to(colours[:, None, None], (2, 32, 32, 3)).copy()
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = parents
        file.create_dataset("image_id", data=["train/good/a", "train/good/b"], dtype=h5py.string_dtype())
    requests = [Request(0, "train/good/a", 1), Request(0, "train/good/b", 2), Request(1, "train/good/b", 3)]
    write_added(tmp_path / "two.h5", duplicate(255 - parents[[0, 1, 1]], requests), {})
    write_added(tmp_path / "none.h5", no_images(32), {})
    files = [tmp_path / "none.h5", tmp_path / "two.h5"]
    draw_side_by_side(tmp_path / "out.png", "a title", [tmp_path / "images.h5"], ["original", "two"], files)
    sheet = np.asarray(Image.open(tmp_path / "out.png"))
    grid = SIDE_BY_SIDE
    right, bottom = grid.at(1, COLUMNS)
    assert sheet.shape == (bottom + grid.gap, right + grid.gap, 3)
    places = [grid.at(0, column) for column in range(3)]
    row = [tuple(sheet[top + grid.tile // 2, left + grid.tile // 2]) for left, top in places]
    assert row[0] == (250, 0, 0) and row[1] == (5, 255, 255)
    assert row[2] == tuple(sheet[2, 2])  # the run's other shot is not among them


def photographs(folder: Path) -> pd.DataFrame:
    """Twenty unlabelled photographs of grey 0, 10, 20 ... in two runs; the scores of run 0 grow with them."""
    names = [f"unlabelled/{number:02}" for number in range(20)]
    with h5py.File(folder / "unlabelled.h5", "w") as file:
        file["images"] = np.stack([flat(10 * number) for number in range(20)])
        file.create_dataset("image_id", data=names, dtype=h5py.string_dtype())
    rows = [
        (run, name, abs(place - 19 * run), abs(place - 19 * run) < 18)
        for run in (0, 1)
        for place, name in enumerate(names)
    ]
    return pd.DataFrame(rows, columns=["run", "image_id", "score", "kept"]).assign(cut=17.0, strangeness=1.0)


def test_chosen_photographs_are_shown_from_the_most_normal_to_those_left_out(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    chosen = photographs(tmp_path)
    images = [study.folder / "images.h5", tmp_path / "unlabelled.h5"]
    write_added(tmp_path / "added.h5", chosen_images(images[1], chosen), {"method": "unlabelled"})
    shots = read_table(study.folder / "shots.csv", "shots")
    draw_contact_sheet(tmp_path / "chosen.png", "title", images, tmp_path / "added.h5", shots)
    sheet = np.asarray(Image.open(tmp_path / "chosen.png")).astype(int)

    def row(line: int) -> list[tuple[int, tuple[int, ...]]]:
        """Grey and frame of every tile."""
        places = [CHOSEN.at(line, column) for column in range(8)]
        return [(int(sheet[top + 50, left + 50, 0]), tuple(sheet[top + 5, left - 2])) for left, top in places]

    assert row(0)[0][0] == 20  # the shot of run 0
    assert row(1) == [(10 * number, drawing.ACCEPTED) for number in range(8)]
    assert row(2) == [(10 * number, drawing.ACCEPTED) for number in range(10, 18)]
    assert row(3)[:3] == [(180, drawing.REJECTED), (190, drawing.REJECTED), (255, drawing.PAPER)]
    assert sheet.shape[0] == CHOSEN.at(4, 0)[1] + CHOSEN.gap

    draw_side_by_side(tmp_path / "side.png", "title", images, ["unlabelled"], [tmp_path / "added.h5"], run=1)
    side, places = (
        np.asarray(Image.open(tmp_path / "side.png")),
        [SIDE_BY_SIDE.at(0, column) for column in range(COLUMNS)],
    )
    assert [side[top + 60, left + 60, 0] for left, top in places] == [190, 180, 170, 160, 150, 140]


def test_what_was_made_of_chosen_photographs_stands_under_them(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    images = [study.folder / "images.h5", tmp_path / "unlabelled.h5"]
    made = duplicate(flat(77)[None], [Request(0, "unlabelled/03", 1)])
    chosen = photographs(tmp_path)
    write_added(tmp_path / "added.h5", joined(chosen_images(images[1], chosen), made), {})
    shots = read_table(study.folder / "shots.csv", "shots")
    draw_contact_sheet(tmp_path / "both.png", "title", images, tmp_path / "added.h5", shots)
    sheet = np.asarray(Image.open(tmp_path / "both.png")).astype(int)[CHOSEN.at(4, 0)[1] + CHOSEN.gap :]
    assert (tile(sheet, 0, 0) == 30).all() and (tile(sheet, 0, 1) == 77).all()


def test_no_photograph_is_in_two_bands() -> None:
    for kept, rest in ((0, 3), (1, 0), (5, 20), (12, 12), (40, 9)):
        rows = pd.DataFrame({"score": np.arange(kept + rest), "accepted": np.arange(kept + rest) < kept})
        bands = bands_of(rows, 4)
        shown = [score for band in bands.values() for score in band["score"]]
        assert shown == sorted(set(shown)) and len(shown) == min(kept, 8) + min(rest, 8)
        assert all(band["accepted"].nunique() == 1 for band in bands.values())


def test_of_a_long_name_the_end_can_be_kept() -> None:
    found = drawing.shorten("2026-11-27_line_3_0012", 100, 12, end=True)
    assert found.startswith("…") and found.endswith("_0012") and drawing.font(12).getlength(found) <= 100
    assert drawing.shorten("0012", 100, 12, end=True) == "0012"


def test_the_font_draws_umlauts() -> None:
    missing = bytes(drawing.font(20).getmask("\U000fffff"))
    assert all(bytes(drawing.font(20).getmask(letter)) != missing for letter in "äöüßéŁ–“…✓✗")


def test_wrap_keeps_words_and_ends_in_an_ellipsis() -> None:
    lines = drawing.wrap("one two three four five six seven", 100, 15, 2)
    assert len(lines) == 2
    assert lines[0] == "one two"
    assert lines[1].endswith("…")
    assert all(drawing.font(15).getlength(line) <= 100 for line in lines)
    assert drawing.wrap("x" * 100, 50, 15, 1)[0].endswith("…")
