"""Unlabelled photographs are predicted, also those that were trained on: none of them vouches for itself."""

import numpy as np
import pytest
import yaml
from PIL import Image

from variad.core.checksums import damages_of
from variad.core.tables import read_table
from variad.report.markup import no_page_yet

from .running import TINY, planned, snakemake, succeed

pytestmark = pytest.mark.slow
CELL = "results/mine/lid/one_shot/piled/patchcore"
DEFECTS = ["unlabelled/again", "unlabelled/defect"]


def photograph(path, seed, mark=False):
    pixels = np.random.default_rng(7).integers(90, 160, (64, 64, 3), dtype=np.uint8)
    pixels[:, 10 * seed : 10 * seed + 4] += 30  # where a stripe lies differs
    if mark:
        pixels[20:40, 20:40] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def piled(tmp_path_factory):
    """One shot and a pile that is added as a whole: three good photographs, and a defect with a copy of it."""
    folder = tmp_path_factory.mktemp("piled")
    home = folder / "photos/lid"
    photograph(home / "train/good/0.png", 0)
    for seed in (1, 2, 3):
        photograph(home / f"unlabelled/{seed}.png", seed)
    for name in ("defect", "again"):
        photograph(home / f"unlabelled/{name}.png", 4, mark=True)
    study = yaml.safe_load(TINY.read_text())
    categories = {"lid": {"class_name": "bottle lid"}}
    study["datasets"] = {"mine": {"adapter": "folder", "path": str(folder / "photos"), "categories": categories}}
    study["scenarios"] = {"one_shot": {"shots": 1, "runs": 1}}
    study["training_sets"] = {"original": {"method": "none"}, "piled": {"method": "unlabelled", "keep": 1.0}}
    study["detectors"] = {
        "patchcore": {
            "method": "patchcore", "extractor": "lite0", "settings": {"coreset_fraction": 1.0, "coreset_limit": None},
        }
    }  # fmt: skip
    study["study"] = {
        "scenarios": ["one_shot"],
        "training_sets": list(study["training_sets"]),
        "detectors": ["patchcore"],
    }
    study["predict"] = {"scenario": "one_shot", "training_set": "piled", "detector": "patchcore"}
    (folder / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder


def predictions(folder):
    link = folder / "results/gallery/mine/lid.predictions.js"
    link.parent.mkdir(parents=True, exist_ok=True)
    no_page_yet(link)  # as the gallery leaves it
    said = succeed(folder, "--cores", "2", "predict", config=folder / "mine.yaml")
    assert "lid.predictions.html" in link.read_text("utf-8") and damages_of(link) == []
    ranked = said[said.index("mine/lid: 5 photographs: ") :].splitlines()
    table = read_table(folder / CELL / "predictions.csv", "predictions")
    assert [" ".join(line.split()[:2]) for line in ranked[2:7]] == [
        f"{row.rank} {row.answer}" for row in table.itertuples()
    ]
    page = "results/gallery/mine/lid.predictions.html"
    assert f"page: {page}" in said and "again.png" in (folder / page).read_text("utf-8")
    return table.set_index("image_id")


def test_a_defect_that_was_added_is_found_as_if_it_was_not(piled):
    """With five pictures each has a fold of its own, so that not_good.txt leaves what its fold leaves."""
    within = predictions(piled)
    assert within["held_out"].all()
    assert sorted(within.index[:2]) == DEFECTS
    table = read_table(piled / CELL / "held_out_scores.csv", "held_out_scores").set_index("image_id")
    assert table["known_good"].to_dict() == {"train/good/0": True, **dict.fromkeys(within.index, False)}
    assert table.loc[within.index, "score"].to_dict() == within["score"].to_dict()
    assert table["trained_on"].all()
    maps = {name: (piled / CELL / f"heatmaps/{name}.tiff").read_bytes() for name in DEFECTS}
    assert maps[DEFECTS[0]] == maps[DEFECTS[1]]

    (piled / "photos/lid/not_good.txt").write_text("defect.png\nagain.png\n")
    jobs = planned(piled, "predict", config=piled / "mine.yaml")
    assert {"draw_pool", "build_training_set", "train_detector", "score_held_out", "predict_images"} <= jobs.keys()
    assert not {"index_category", "pack_category", "extract_features", "sample_shots"} & jobs.keys()
    without = predictions(piled)
    assert without["held_out"].to_dict() == {name: name not in DEFECTS for name in within.index}
    for name in DEFECTS:
        assert within.loc[name, "score"] == pytest.approx(without.loc[name, "score"], rel=1e-5)
        assert within.loc[name, "rank"] == without.loc[name, "rank"]


def test_a_missing_folder_of_unlabelled_photographs_is_said_before_anything_runs(tmp_path):
    for index in range(2):
        photograph(tmp_path / f"photos/lid/train/good/{index}.png", index)
    study = yaml.safe_load(TINY.read_text())
    categories = {"lid": {"class_name": "bottle lid"}}
    study["datasets"] = {"mine": {"adapter": "folder", "path": str(tmp_path / "photos"), "categories": categories}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    done = snakemake(tmp_path, "--cores", "1", "predict", config=tmp_path / "mine.yaml")
    assert done.returncode != 0 and not (tmp_path / "results").exists()
    said = done.stdout + done.stderr
    assert "expected photographs to predict in a folder 'unlabelled' beside 'train' of category 'lid'" in said
    assert "Traceback (most recent call last)" not in said
    photograph(tmp_path / "photos/cap/train/good/0.png", 0)
    photograph(tmp_path / "photos/cap/unlabelled/0.png", 1)
    categories["cap"] = {"class_name": "cap"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    done = snakemake(tmp_path, "--dry-run", "predict", config=tmp_path / "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert "mine/lid: no unlabelled photographs to predict" in done.stdout + done.stderr
    assert "results/mine/cap/few_shot" in done.stdout and "results/mine/lid" not in done.stdout
