"""Photographs that nobody has sorted join a training set, from the folder to the export; a category may have none."""

import h5py
import pytest
import yaml

from variad.core.records import picture_rows
from variad.core.tables import read_table
from variad.generation.added import read_added

from .running import TINY, planned, succeed
from .test_dag import in_place
from .test_new_images import photograph

pytestmark = pytest.mark.slow
SETS = {
    "original": {"method": "none"},
    "unlabelled": {"method": "unlabelled", "keep": 0.5},
    "sharpened": {"method": "unlabelled_generated", "keep": 0.5, "then": "augment", "strategy": "sharpen"},
}


def test_photographs_are_added_where_there_are_some(tmp_path):
    in_place(tmp_path)
    for category, unlabelled in (("lid", 6), ("box", 0)):
        for number in range(2):
            photograph(tmp_path / f"photos/{category}/train/good/{number}.png", number)
        for number in range(unlabelled):
            photograph(tmp_path / f"photos/{category}/unlabelled/{number}.png", 10 + number)
        photograph(tmp_path / f"photos/{category}/test/good/0.png", 20)
        photograph(tmp_path / f"photos/{category}/test/dent/0.png", 21)
    study = yaml.safe_load(TINY.read_text())
    categories = {name: {"class_name": name} for name in ("lid", "box")}
    study["datasets"] = {"mine": {"adapter": "folder", "path": str(tmp_path / "photos"), "categories": categories}}
    study["scenarios"] = {"one_shot": {"shots": 1, "runs": 2}}
    study["training_sets"] = SETS
    study["study"] = {"scenarios": ["one_shot"], "training_sets": list(SETS), "detectors": ["patchcore"]}
    study["predict"] = {"scenario": "one_shot", "training_set": "original", "detector": "patchcore"}
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump(study, sort_keys=False))
    home = "results/mine/lid/one_shot"
    targets = ["generated", "results/tables/summary.csv", f"{home}/unlabelled/export/contents.txt"]
    said = succeed(tmp_path, "--cores", "2", *targets, config=config)
    assert "mine/box/one_shot/unlabelled: no unlabelled photographs to choose from" in said

    chosen = read_table(tmp_path / home / "unlabelled/chosen.csv", "chosen")
    added = read_added(tmp_path / home / "unlabelled/added.h5")
    assert added.parent == list(chosen["image_id"]) and added.accepted.tolist() == list(chosen["kept"])
    assert added.accepted.sum() == 2 * 3 and len(added.images) == 6
    more = read_added(tmp_path / home / "sharpened/added.h5")
    assert len(more.run) == 2 * (6 + 1 + 3)  # one of the shot, and of each of three kept photographs
    assert len(more.images) == 6 + 2 * 4
    assert not (tmp_path / home / "sharpened/features").exists()  # what detectors see of them is kept nowhere
    with h5py.File(tmp_path / "results/mine/box/one_shot/unlabelled/added.h5") as file:
        assert len(picture_rows(file)) == len(file["run"]) == 0
    exported = list((tmp_path / home / "unlabelled/export/run_0/lid/train/good").iterdir())
    assert len(exported) == 1 + 3
    page = (tmp_path / "results/tables/summary.md").read_text()
    assert "mine/lid: `unlabelled`, one_shot: 3 of 6 unlabelled photographs are taken as good." in page
    assert "mine/box: `unlabelled`, one_shot: there are no unlabelled photographs" in page

    # a photograph more costs what reads the pile, and no other training set
    photograph(tmp_path / "photos/lid/unlabelled/new.png", 30)
    jobs = planned(tmp_path, *targets, config=config)
    assert jobs["draw_pool"] == jobs["choose_unlabelled"] == jobs["build_training_set"] == jobs["train_detector"] == 2
    assert "sample_shots" not in jobs and jobs["pack_category"] == 1
