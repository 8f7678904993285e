"""Figures 11, 13, 14 and 16: which image each panel shows, and what is drawn of it."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.paper import pictures
from variad.paper.pictures import (
    FORMS,
    ScoredCell,
    draw_form_panels,
    draw_map_pairs,
    form_panels,
    map_pair,
    map_title,
    median_anomaly,
)
from variad.report.heatmaps import TILE

KEY = {"dataset": "d", "category": "a", "detector": "x", "scenario": "one_shot"}
NAMES = ["test/good/0", "test/bent/0", "test/bent/1", "test/hole/0", "test/hole/1"]


def scores(values, run=0):
    table = pd.DataFrame({"image_id": NAMES, "label": [0, 1, 1, 1, 1], "score": values})
    return table.assign(run=run)[["run", "image_id", "label", "score"]]


def test_the_median_anomaly_is_the_lower_of_two_and_ties_go_by_name():
    assert median_anomaly(scores([9.0, 1.0, 2.0, 3.0, 4.0])) == "test/bent/1"
    assert median_anomaly(scores([9.0, 1.0, 2.0, 3.0, 4.0]).head(4)) == "test/bent/1"
    assert median_anomaly(scores([0.0, 5.0, 5.0, 5.0, 5.0])) == "test/bent/1"
    assert median_anomaly(scores([9.0, 1.0, 2.0, 3.0, 4.0]).head(1)) is None


@pytest.fixture
def pair(tmp_path):
    """Two cells with the maps of runs 1 and 2; the chosen image is flat, at 2 by the shots alone and at 4 after."""
    cells = []
    for training_set, level in (("original", 2.0), ("generated", 4.0)):
        maps = tmp_path / training_set / "maps"
        for run in (1, 2):
            for name in NAMES:
                path = maps / f"run_{run}" / "a" / f"{name}.tiff"
                path.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(path, np.full((20, 30), level if name == "test/bent/1" else 99, np.float32))
        table = pd.concat([scores([9.0, 4.0, 3.0, 2.0, 1.0]), scores([0.0, 1.0, level, 3.0, 4.0], run=1)])
        cells.append(ScoredCell({**KEY, "training_set": training_set}, table, maps))
    return cells


def test_a_pair_shows_one_image_of_the_first_kept_run_on_one_scale(pair, tmp_path):
    table, maps = map_pair(*pair)
    write_table(tmp_path / "t.csv", table, "map_panels")
    rows = read_table(tmp_path / "t.csv", "map_panels")
    assert rows["training_set"].tolist() == ["original", "generated"]
    assert rows["image_id"].tolist() == ["test/bent/1"] * 2 and rows["defect"].tolist() == ["bent"] * 2
    assert rows["run"].tolist() == [1, 1] and rows["score"].tolist() == [2, 4]
    assert rows["scale_low"].tolist() == [2, 2] and rows["scale_high"].tolist() == [4, 4]
    assert [values.shape for values in maps] == [(TILE, TILE)] * 2 and [values.mean() for values in maps] == [2, 4]


def test_without_an_anomaly_there_is_no_pair(pair):
    normal = [ScoredCell(cell.key, cell.scores[cell.scores["label"] == 0], cell.maps) for cell in pair]
    table, maps = map_pair(*normal)
    assert table.empty and maps == []


def test_without_kept_maps_the_sentence_names_the_key(pair):
    bare = ScoredCell(pair[0].key, pair[0].scores, Path("nowhere"))
    with pytest.raises(UserError, match=r"study\.keep_map_runs"):
        map_pair(bare, pair[1])


def images(path, names, colour=(200, 40, 40)):
    with h5py.File(path, "w") as file:
        file["images"] = np.broadcast_to(np.array(colour, np.uint8), (len(names), 16, 16, 3))
        file.create_dataset("image_id", data=names, dtype=h5py.string_dtype())
        mask = np.zeros((20, 30), np.uint8)
        mask[:10] = 255
        file["masks/test/bent/1"] = mask
    return path


def test_rows_of_image_truth_and_two_maps(pair, tmp_path):
    panels, maps = map_pair(*pair)
    draw_map_pairs(tmp_path / "f.png", "title", panels, maps, {("d", "a"): images(tmp_path / "i.h5", NAMES)})
    sheet = np.asarray(Image.open(tmp_path / "f.png")).astype(int)
    left, top = pictures.GAP + pictures.TEXT_WIDTH, pictures.HEAD
    step = TILE + pictures.GAP
    image, truth, before, after = (sheet[top : top + TILE, left + step * n : left + step * n + TILE] for n in range(4))
    assert (image == (200, 40, 40)).all()
    assert (truth[: TILE // 2 - 2] == 255).all() and (truth[TILE // 2 + 2 :] < 100).all()
    # low is viridis' dark violet, high its yellow, over grey
    assert before[..., 2].mean() > before[..., 1].mean() and after[..., 0].mean() > after[..., 2].mean() + 50


def test_many_rows_are_set_in_two_blocks_and_none_is_said(pair, tmp_path):
    panels, maps = map_pair(*pair)
    of = {("d", "a"): images(tmp_path / "i.h5", NAMES)}
    draw_map_pairs(tmp_path / "f.png", "t", pd.concat([panels] * 7, ignore_index=True), maps * 7, of)
    with Image.open(tmp_path / "f.png") as sheet:
        assert sheet.width == pictures.GAP + 2 * pictures.BLOCK_WIDTH
        assert sheet.height == pictures.HEAD + 4 * (TILE + pictures.GAP) + pictures.FOOT
    draw_map_pairs(tmp_path / "none.png", "t", panels.iloc[:0], [], {})
    assert (tmp_path / "none.png").stat().st_size > 1000


def test_title_of_maps():
    key = {**KEY, "training_set": "generated"}
    assert map_title("figure_11", key) == "Figure 11: d, x, one_shot, original and generated"


def quality(run, index, parent, ssim):
    extra = {"accepted": True, "diversity": 0.1, "novelty": 0.1}
    return {
        "run": run,
        "index": index,
        "parent": parent,
        "ssim": ssim,
        "psnr": 20.5,
        "vif": 0.1,
        "lpips": np.nan,
        **extra,
    }


def test_panels_of_forms(tmp_path):
    entry = {"dataset": "d", "categories": ["a"], "scenario": "one_shot", "training_sets": {"mu": "m", "mu_sigma": "s"}}
    first = pd.DataFrame(
        [quality(1, 0, "test/good/0", 0.9), quality(0, 1, NAMES[0], 0.5), quality(0, 2, NAMES[0], 0.6)]
    )
    tables = {("a", "m"): first, ("a", "s"): first.assign(ssim=0.25)}
    write_table(tmp_path / "t.csv", form_panels(entry, tables), "form_panels")
    panels = read_table(tmp_path / "t.csv", "form_panels")
    assert panels[["form", "index", "run", "ssim"]].values.tolist() == [["mu", 1, 0, 0.5], ["mu_sigma", 1, 0, 0.25]]

    added = {}
    for name, colour in (("m", (0, 200, 0)), ("s", (0, 0, 200))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["images"] = np.stack([np.full((16, 16, 3), 255, np.uint8), np.full((16, 16, 3), colour, np.uint8)])
        added["a", name] = tmp_path / f"{name}.h5"
    draw_form_panels(tmp_path / "f.png", "title", panels, {"a": images(tmp_path / "i.h5", NAMES)}, added)
    sheet = np.asarray(Image.open(tmp_path / "f.png"))
    middle = FORMS.head + FORMS.tile // 2
    step = FORMS.tile + FORMS.gap
    columns = [tuple(sheet[middle, FORMS.left + step * n + FORMS.tile // 2]) for n in range(3)]
    assert columns == [(200, 40, 40), (0, 200, 0), (0, 0, 200)]
