"""Where candidates come from, in a whole workflow: what is drawn, and what is done again when a person objects."""

import json
import shutil

import pytest
import yaml

from variad.core.tables import read_table

from .running import TINY, planned, snakemake, succeed
from .test_new_images import photograph

pytestmark = pytest.mark.slow
POOL = "results/mine/lid/one_shot/piled/pool.csv"
INVENTORY = "results/mine/lid/inventory.csv"


def study_of(folder, datasets, **recipe):
    """A study of which only the candidates are asked for."""
    study = yaml.safe_load(TINY.read_text())
    study["datasets"] = datasets
    study["scenarios"] = {"one_shot": {"shots": 1, "runs": 2}}
    study["training_sets"] = {"original": {"method": "none"}, "piled": {"method": "unlabelled", **recipe}}
    study["study"] = {"scenarios": ["one_shot"], "training_sets": ["original"], "detectors": ["patchcore"]}
    study["predict"] = {"scenario": "one_shot", "training_set": "original", "detector": "patchcore"}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def drawn(path):
    table = read_table(path, "pool")
    return [list(table.loc[table["run"] == run, "image_id"]) for run in (0, 1)]


def test_a_person_takes_photographs_out(tmp_path):
    home = tmp_path / "photos/lid"
    photograph(home / "train/good/0.png", 0)
    for number in range(4):
        photograph(home / f"unlabelled/{number}.png", 10 + number)
    mine = {"adapter": "folder", "path": str(tmp_path / "photos"), "categories": {"lid": {"class_name": "lid"}}}
    config, targets = study_of(tmp_path, {"mine": mine}), (POOL, INVENTORY)
    succeed(tmp_path, "--cores", "1", *targets, config=config)
    everything = [f"unlabelled/{number}" for number in range(4)]
    assert [sorted(names) for names in drawn(tmp_path / POOL)] == [everything] * 2
    assert planned(tmp_path, *targets, config=config) == {}
    (home / "not_good.txt").write_text("2.png  # dented\n9.png\n")
    assert planned(tmp_path, *targets, config=config) == {"draw_pool": 1, "take_inventory": 1}
    said = succeed(tmp_path, "--cores", "1", *targets, config=config)
    assert "1 line not used (a line that names no unlabelled photograph): not_good.txt: 9.png" in said
    assert "no candidate for training, as not_good.txt names it): lid/unlabelled/2.png" in said
    assert [sorted(names) for names in drawn(tmp_path / POOL)] == [[*everything[:2], everything[3]]] * 2
    assert len(read_table(tmp_path / "results/mine/lid/unlabelled/manifest.csv", "manifest")) == 4  # still ranked
    assert planned(tmp_path, *targets, config=config) == {}
    shutil.move(tmp_path / "photos", tmp_path / "elsewhere")  # what is there serves, and what was said of it
    assert planned(tmp_path, *targets, config=config) == {}


def test_objections_and_contamination_leave_photographs_out_of_what_decides_turning(tmp_path):
    home = tmp_path / "photos/lid"
    photograph(home / "train/good/0.png", 0)
    for number in range(4):
        photograph(home / f"unlabelled/{number}.png", 10 + number)
    mine = {"adapter": "folder", "path": str(tmp_path / "photos"), "categories": {"lid": {"class_name": "lid"}}}
    config, turning = study_of(tmp_path, {"mine": mine}), "results/mine/lid/turning.json"
    study = yaml.safe_load(config.read_text())
    turned = {"strategy": "rotations", "rotations": "auto", "angles": 90}
    study["training_sets"]["turned"] = {"method": "augment", **turned}
    study["study"]["training_sets"].append("turned")
    config.write_text(yaml.safe_dump(study, sort_keys=False))
    succeed(tmp_path, "--cores", "1", turning, config=config)
    assert json.loads((tmp_path / turning).read_text())["candidates"] == 4
    (home / "not_good.txt").write_text("2.png\n")
    assert planned(tmp_path, turning, config=config) == {"draw_pool": 1, "decide_turning": 1}
    succeed(tmp_path, "--cores", "1", turning, config=config)
    assert json.loads((tmp_path / turning).read_text())["candidates"] == 3

    # a recipe that chooses photographs is asked about those that it may choose from: 2 in each of 2 runs
    chosen = {"method": "unlabelled_generated", "then": "augment", "size": 2, **turned}
    study["training_sets"]["chosen"] = chosen
    study["study"]["training_sets"].append("chosen")
    config.write_text(yaml.safe_dump(study, sort_keys=False))
    succeed(tmp_path, "--cores", "1", turning, config=config)
    first, second = drawn(tmp_path / POOL.replace("piled", "chosen"))
    assert len(first) == len(second) == 2 and "unlabelled/2" not in first + second
    assert json.loads((tmp_path / turning).read_text())["candidates"] == len({*first, *second})


def test_a_pool_of_labelled_images_is_drawn_by_its_contamination(tmp_path):
    textures = {
        "adapter": "textures",
        "pool": {"good": 6, "defective": 0.4},
        "categories": {"brick": {"class_name": "b"}},
    }
    textures["settings"] = {"tile_size": 64, "train_good": 8, "test_good": 2, "defects_per_kind": 2}
    config = study_of(tmp_path, {"mine": textures}, contamination=0.25)
    pool = POOL.replace("lid", "brick")
    succeed(tmp_path, "--cores", "1", pool, "results/mine/brick/unlabelled/images.h5", config=config)
    splits = tmp_path / "results/mine/brick"
    labels = read_table(splits / "unlabelled/manifest.csv", "manifest").set_index("image_id")["label"]
    assert labels.value_counts().to_dict() == {0: 6, 1: 4}
    for names in drawn(tmp_path / pool):  # all good ones, and a quarter of defects: 2 of 8
        assert labels[names].value_counts().to_dict() == {0: 6, 1: 2}
    study = yaml.safe_load(config.read_text())
    study["datasets"]["mine"]["pool"]["defective"] = 0.45
    config.write_text(yaml.safe_dump(study, sort_keys=False))
    jobs = planned(tmp_path, pool, "results/mine/brick/shots.csv", config=config)
    assert jobs == {"index_category": 1, "draw_pool": 1, "sample_shots": 1}  # the training images are what they were
    study["datasets"]["mine"]["pool"]["good"] = 8
    config.write_text(yaml.safe_dump(study, sort_keys=False))
    done = snakemake(tmp_path, "--cores", "1", pool, config=config)
    assert done.returncode != 0
    assert "datasets.mine.pool.good: expected at most 7 for category 'brick'" in done.stdout + done.stderr
