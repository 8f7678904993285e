"""The selection of heat maps is fixed, and the sheet shows what was selected."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from variad.core.errors import UserError
from variad.core.tables import read_table
from variad.report.drawing import lookup_table
from variad.report.heatmaps import GAP, HEAD, OPACITY, TILE, choose_images, draw_heatmaps, overlay

from .synthetic_study import Study, build_category


def table(scores: list[tuple[str, int, float]]) -> pd.DataFrame:
    return pd.DataFrame([(0, *row) for row in scores], columns=["run", "image_id", "label", "score"])


def test_choice_by_hand() -> None:
    scores = table(
        [(f"n{i}", 0, float(i)) for i in range(10)] + [(f"a{i}", 1, 5.5 + i) for i in range(10)],
    )
    chosen = choose_images(scores, count=8)
    assert [(entry.image_id, entry.rank) for entry in chosen[:6]] == [
        ("n9", 7), ("n8", 9), ("a0", 14), ("a1", 12), ("a9", 1), ("a8", 2),
    ]  # fmt: skip
    # The rest of the ranking from its best to its worst.
    assert [entry.image_id for entry in chosen[6:]] == ["a7", "n0"]
    assert {entry.reason for entry in chosen[6:]} == {"along the ranking"}


def test_choice_does_not_depend_on_the_order_of_rows_even_with_ties() -> None:
    scores = table([(f"i{i:02d}", i % 2, float(i // 6)) for i in range(40)])
    first = choose_images(scores)
    assert choose_images(scores.sample(frac=1, random_state=3)) == first
    assert len({entry.image_id for entry in first}) == len(first) == 8


@pytest.mark.parametrize("labels", [[0] * 5, [1] * 5, [0], [0, 1]])
def test_choice_of_few_images_takes_each_once(labels: list[int]) -> None:
    scores = table([(f"i{i}", label, float(i)) for i, label in enumerate(labels)])
    assert sorted(entry.image_id for entry in choose_images(scores)) == [f"i{i}" for i in range(len(labels))]


def test_overlay_blends_grey_and_colour() -> None:
    image = np.full((1, 1, 3), (30, 60, 90), np.uint8)
    expected = np.round((1 - OPACITY) * 60 + OPACITY * lookup_table()[255])
    assert overlay(image, np.ones((1, 1), np.float32), 0.0, 1.0)[0, 0].tolist() == expected.tolist()


def sheet_of(study: Study) -> np.ndarray:
    cell = study.cells()[0]
    target = study.root / "heatmaps.png"
    scores = read_table(cell / "scores.csv", "scores")
    draw_heatmaps(target, "Löt", study.folder / "images.h5", scores, cell / "maps", study.category)
    with Image.open(target) as sheet:
        return np.asarray(sheet).astype(int)


def test_sheet_shows_image_mask_and_overlay_of_the_first_choice(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path, masks=True))
    sheet = sheet_of(study)
    # Eight tests; scores rise with the index; the highest-scored normal image is number 6, grey 20 + 10 * (5 + 6).
    assert (sheet[HEAD : HEAD + TILE, GAP : GAP + TILE] == 130).all()
    # The fourth entry is an anomaly; its mask covers rows 2 to 4 of 24 and columns 3 to 5 of 20.
    fourth = sheet[HEAD + 3 * (TILE + GAP) : HEAD + 3 * (TILE + GAP) + TILE, GAP + TILE + GAP : GAP + 2 * TILE + GAP]
    white = (fourth == 255).all(axis=2)
    assert white[16:20, 25:35].all()
    assert white.mean() == pytest.approx(9 / (24 * 20), rel=0.1)


def test_sheet_without_masks_says_so(tmp_path: Path) -> None:
    sheet = sheet_of(build_category(Study(tmp_path, masks=False)))
    truth = sheet[HEAD + 3 * (TILE + GAP) : HEAD + 3 * (TILE + GAP) + TILE, GAP + TILE + GAP : GAP + 2 * TILE + GAP]
    assert (truth[:10] == (236, 238, 241)).all()


def test_missing_maps_are_told_and_leave_nothing(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path))
    maps = study.cells()[0] / "maps"
    (maps / "run_0" / study.category / f"{study.test_names[0]}.tiff").unlink()
    with pytest.raises(UserError, match=r"000 ä\.tiff: expected the anomaly map"):
        sheet_of(study)
    maps.rename(maps.with_name("elsewhere"))
    with pytest.raises(
        UserError, match="expected the maps of a run, found none; name one under config key keep_map_runs"
    ):
        sheet_of(study)
    assert not (study.root / "heatmaps.png").exists()


def test_nothing_scored_gives_a_sheet_without_maps(tmp_path: Path) -> None:
    study = build_category(Study(tmp_path, tests=0))
    assert sheet_of(study).shape[2] == 3
