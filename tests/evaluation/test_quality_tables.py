"""The tables of image quality, by hand, and through their schemas."""

import numpy as np
import pandas as pd
import pytest

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.evaluation.spread import image_quality_table, real_spread_table, summarise_quality

KEY = {"dataset": "elpv", "category": "mono", "scenario": "few_shot", "training_set": "generated"}


@pytest.fixture
def table():
    """Two runs: the first with an image that was not accepted, the second with a repetition of its shot."""
    images = {"run": [0, 0, 0, 1], "parent": ["a", "a", "b", "c"], "accepted": [True, True, False, True]}
    compared = {
        "ssim": np.array([0.5, 0.7, 0.0, 1.0]),
        "psnr": np.array([20.0, 30, 5, np.inf]),
        "vif": np.array([0.25, 0.75, 0.5, 1.0]),
        "lpips": np.full(4, np.nan),
    }
    added = np.array([[0.0, 0], [0.3, 0], [0, 0.4], [1, 1]])
    shots = {0: np.array([[0.0, 0.1], [0.3, 0.4]]), 1: np.array([[1.0, 1]])}
    return image_quality_table(images, compared, added, shots)


def test_each_image_against_its_own_run(table):
    assert table["index"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(table["diversity"], [0.3, 0.3, 0.45, np.nan])
    np.testing.assert_allclose(table["novelty"], [0.1, round(np.sqrt(0.1), 5), 0.3, 0])


def test_lpips_that_is_absent_is_an_empty_cell_and_infinity_a_word(table, tmp_path):
    path = tmp_path / "image_quality.csv"
    write_table(path, table, "image_quality")
    lines = path.read_text().splitlines()
    assert lines[0] == "run,index,parent,accepted,ssim,psnr,vif,lpips,diversity,novelty"
    assert lines[1] == "0,0,a,True,0.5,20.0,0.25,,0.3,0.1"
    assert lines[4] == "1,3,c,True,1.0,inf,1.0,,,0.0"
    pd.testing.assert_frame_equal(read_table(path, "image_quality"), table, check_dtype=False)


@pytest.mark.parametrize(("column", "value"), [("ssim", 1.5), ("psnr", -1.0), ("novelty", 3.0), ("ssim", np.nan)])
def test_values_out_of_range_are_refused(table, tmp_path, column, value):
    table.loc[0, column] = value
    with pytest.raises(UserError, match=column):
        write_table(tmp_path / "image_quality.csv", table, "image_quality")


def test_real_images_by_scenario_and_run(tmp_path):
    features = np.array([[0.0, 0], [0.3, 0], [0.3, 0.4], [0, 0.4]])
    found = real_spread_table(features, {"one_shot": {0: [0], 1: [2]}, "few_shot": {0: [0, 1]}})
    assert found["novelty"].tolist() == [0.4, 0.4, 0.35]
    assert found["diversity"].tolist() == [0.4, 0.4, 0.4]
    write_table(tmp_path / "real_spread.csv", found, "real_spread")
    alone = real_spread_table(features[:1], {"one_shot": {0: [0]}})
    write_table(tmp_path / "alone.csv", alone, "real_spread")
    assert (tmp_path / "alone.csv").read_text().splitlines()[1] == "one_shot,0,,"


def test_summary_over_runs(table, tmp_path):
    real = pd.DataFrame({"scenario": ["few_shot"] * 2 + ["one_shot"], "run": [0, 1, 0], "diversity": 0.5})
    real["novelty"] = [0.2, 0.4, 9]
    path = tmp_path / "summary.csv"
    write_table(path, summarise_quality([KEY], [table], {("elpv", "mono"): real}), "image_quality_summary")
    row = read_table(path, "image_quality_summary").iloc[0]
    assert (row["runs"], row["images"]) == (2, 3)
    assert row["identical"] == pytest.approx(1 / 3, abs=1e-5)
    assert row["ssim_mean"] == pytest.approx(0.8)  # of 0.6 and 1.0
    assert row["ssim_std"] == pytest.approx(np.sqrt(0.08), abs=1e-5)
    assert row["psnr_mean"] == 25 and np.isnan(row["psnr_std"])  # the second run has no finite one
    assert np.isnan(row["lpips_mean"]) and np.isnan(row["lpips_std"])
    assert row["diversity_mean"] == 0.3
    assert (row["real_diversity"], row["real_novelty"]) == (0.5, 0.3)


def test_a_training_set_without_accepted_images_has_empty_cells(table, tmp_path):
    real = pd.DataFrame({"scenario": ["few_shot"], "run": [0], "diversity": [0.5], "novelty": [0.2]})
    none = summarise_quality([KEY], [table.assign(accepted=False)], {("elpv", "mono"): real})
    write_table(tmp_path / "summary.csv", none, "image_quality_summary")
    row = read_table(tmp_path / "summary.csv", "image_quality_summary").iloc[0]
    assert (row["runs"], row["images"]) == (0, 0) and np.isnan(
        row[["identical", "ssim_mean", "novelty_mean"]].astype(float)
    ).all()


def test_a_study_without_added_images_has_an_empty_table(tmp_path):
    write_table(tmp_path / "summary.csv", summarise_quality([], [], {}), "image_quality_summary")
    assert read_table(tmp_path / "summary.csv", "image_quality_summary").empty
