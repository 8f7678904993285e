"""The files that all sources share."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from variad.anomalies.anomaly_file import (
    Anomaly,
    NamedImages,
    Strengths,
    read_anomalies,
    read_manifest,
    read_normals,
    read_strengths,
    write_anomalies,
)
from variad.core.errors import UserError
from variad.datasets.sampling import all_image_ids, control_image_ids, read_support


def anomaly(value, **more):
    return Anomaly(np.full((4, 4, 3), value, np.uint8), "a", **more)


def test_round_trip(tmp_path):
    runs = {1: [anomaly(30)], 0: [anomaly(10, strength=0.25, parent_b="b", parameters={"t": 1}), anomaly(20)]}
    normals = NamedImages(["n", "m"], np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3))
    strengths = Strengths(np.zeros((1, 2, 4, 4, 3), np.uint8), [0.0, 1.0], ["a"])
    files = tmp_path / "anomalies.h5", tmp_path / "manifest.csv"
    write_anomalies(*files, "s", runs, normals, strengths)

    manifest = read_manifest(files[1])
    assert manifest["anomaly_id"].tolist() == ["s/0/000", "s/0/001", "s/1/000"]
    assert manifest["strength"].tolist() == [0.25, 1, 1] and manifest["parameters"].tolist() == ['{"t": 1}', "{}", "{}"]
    assert read_anomalies(files[0], manifest.iloc[[2, 0]])[:, 0, 0, 0].tolist() == [30, 10]
    found = read_normals(files[0])
    assert found.image_ids == ["n", "m"] and np.array_equal(found.images, normals.images)
    assert read_strengths(files[0]).strength == [0.0, 1.0] and read_strengths(files[0]).label == ["a"]

    write_anomalies(*files, "s", runs)
    assert read_normals(files[0]) is None and read_strengths(files[0]) is None


def test_images_of_ones_own_by_path(tmp_path):
    files = tmp_path / "anomalies.h5", tmp_path / "manifest.csv"
    write_anomalies(*files, "s", {0: [anomaly(10), anomaly(20)]})
    Image.fromarray(np.full((9, 9), 200, np.uint8)).save(tmp_path / "mine.png")
    table = pd.read_csv(files[1])
    table["path"] = table["path"].astype(object)
    table.loc[1, ["position", "path"]] = [np.nan, str(tmp_path / "mine.png")]
    table.to_csv(files[1], index=False)
    assert read_anomalies(files[0], read_manifest(files[1]))[:, 0, 0, 0].tolist() == [10, 200]
    table.loc[0, "path"] = "both.png"
    table.to_csv(files[1], index=False)
    with pytest.raises(UserError, match=r"either position or path of s/0/000, found neither or both"):
        read_manifest(files[1])


def test_support_sets(category):
    support = read_support(category.support)
    first = support[0]
    assert (len(first.bank), len(first.seeds), len(first.validation)) == (3, 6, 4)
    assert first.styles + first.contents == first.seeds and len(first.styles) == 3
    everything = {*first.bank, *first.seeds, *first.validation}
    assert len(everything) == 13 and everything <= set(all_image_ids(support))
    assert set(control_image_ids(support)) == {n for sets in support.values() for n in (*sets.bank, *sets.validation)}


def test_an_image_may_not_have_two_places_in_a_run(category):
    lines = category.support.read_text().splitlines()
    name = lines[1].split(",")[1]
    category.support.write_text("\n".join([*lines, f"0,{name},validation"]) + "\n")
    with pytest.raises(UserError, match=f"expected each image once a run, found {name} twice"):
        read_support(category.support)
