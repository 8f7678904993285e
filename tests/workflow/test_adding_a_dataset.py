"""The worked example of docs/adding_a_dataset.md, run as it stands there."""

import csv

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from variad.core.tables import read_table

from .documents import blocks
from .running import TINY, planned, snakemake, succeed

pytestmark = pytest.mark.slow

CODE = blocks("adding_a_dataset", "python")[0]


@pytest.fixture
def study(tmp_path):
    """The tiny study on the document's data set: three training images, three tests without and two with a hole."""
    home, draw, rows = tmp_path / "photos/lid", np.random.default_rng(0), []
    home.mkdir(parents=True)
    kinds = [("train", "good")] * 3 + [("test", "good")] * 3 + [("test", "hole")] * 2
    for number, (split, defect) in enumerate(kinds):
        image = draw.integers(120, 136, (64, 64), dtype=np.uint8)
        hole = np.zeros_like(image)
        if defect == "hole":
            hole[20:44, 20 + number : 44 + number] = 255
        Image.fromarray(np.where(hole, 0, image).astype(np.uint8)).save(home / f"{number}.png")
        Image.fromarray(hole).save(home / f"mask {number}.png")
        mask = f"mask {number}.png" if defect == "hole" else ""
        rows.append({"image": f"{number}.png", "split": split, "defect": defect, "mask": mask})
    with open(home / "lids.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["image", "split", "defect", "mask"])
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "listed.py").write_text(CODE)
    config = yaml.safe_load(TINY.read_text()) | yaml.safe_load(blocks("adding_a_dataset", "yaml")[0])
    config["training_sets"]["duplicated"] = {"method": "duplicate", "images_per_shot": {"one_shot": 2}}
    config["predict"] = {"scenario": "one_shot", "training_set": "duplicated", "detector": "patchcore"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def test_a_data_set_of_a_users_own(study, tmp_path):
    succeed(tmp_path, "--cores", "1", "results/tables/summary.csv", config=study)
    home = tmp_path / "results/listed/lid"
    manifest = pd.concat([read_table(home / split / "manifest.csv", "manifest") for split in ("train", "test")])
    assert list(manifest["image_id"])[2:4] == ["train/good/2", "test/good/3"]
    assert list(manifest["mask_path"])[-2:] == ["lid/mask 6.png", "lid/mask 7.png"]
    table = read_table(tmp_path / "results/tables/summary.csv", "summary").set_index(["metric", "training_set"])
    # a black hole is found at once, and repeating images changes no minimum
    assert table.loc[("image_auroc", "original"), "mean"] == 100
    assert table.loc[("pixel_auroc", "original"), "mean"] > 90
    assert table.loc[("image_auroc", "duplicated"), "gain"] == 0

    (tmp_path / "listed.py").write_text(CODE.replace("stream)]", "stream)][::-1]"))
    jobs = planned(tmp_path, "results/tables/summary.csv", config=study)
    assert (jobs["index_category"], jobs["pack_category"]) == (3, 2)


def test_a_mistake_is_seen_before_anything_runs(study, tmp_path):
    study.write_text(study.read_text().replace("table: lids.csv", "tabel: lids.csv"))
    done = snakemake(tmp_path, "--dry-run", config=study)
    expected = "expected a class whose settings are table, found 'tabel' among the settings."
    assert f"config key datasets.listed.adapter: {expected}" in done.stderr + done.stdout
