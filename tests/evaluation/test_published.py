"""Published values are found only where they belong."""

import math
from pathlib import Path

import pandas as pd
import pytest

from variad.core.tables import read_table
from variad.evaluation.aggregation import published_mean

TABLE = Path(__file__).parents[2] / "resources" / "published" / "auroc.csv"
BTAD = {"01", "02", "03"}


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    return read_table(TABLE, "published_auroc")


def key(
    dataset="btad",
    category="01",
    training_set="original",
    metric="image_auroc",
    scenario="one_shot",
    detector="patchcore",
):
    return {
        "dataset": dataset,
        "category": category,
        "detector": detector,
        "scenario": scenario,
        "training_set": training_set,
        "metric": metric,
    }


def test_values_of_the_document(published):
    assert published_mean(published, key(), BTAD) == 72.2
    assert published_mean(published, key(training_set="generated"), {"01"}) == 92.4
    assert (
        published_mean(published, key(category="average", scenario="full_shot", training_set="generated"), BTAD) == 81.3
    )


def test_a_detector_that_is_spelt_otherwise(published):
    """Table 13: leather, one-shot, 65.8 and 54.8."""
    leather = key(dataset="mvtec_ad", category="leather", detector="efficientad")
    assert published_mean(published, leather, {"leather"}) == 65.8
    assert published_mean(published, leather | {"training_set": "generated"}, {"leather"}) == 54.8


def test_every_value_is_there_once(published):
    assert not published.duplicated(["dataset", "detector", "scenario", "source", "category", "metric"]).any()
    assert len(published) == 516


def test_averages_of_a_table_are_those_of_its_categories(published):
    """Tables 6 to 15 average their own columns, up to rounding."""
    for _, cell in published[published["table"] > 5].groupby(["table", "scenario", "source"]):
        is_average = cell["category"].str.startswith("average")
        assert cell[is_average]["mean_percent"].item() == pytest.approx(
            cell[~is_average]["mean_percent"].mean(), abs=0.1
        )


@pytest.mark.parametrize("training_set", ["generated_tuned", "duplicated", "augmented_noise"])
def test_other_training_sets_have_none(published, training_set):
    assert math.isnan(published_mean(published, key(training_set=training_set), BTAD))


def test_other_metrics_data_sets_and_detectors_have_none(published):
    assert math.isnan(published_mean(published, key(metric="aupro"), BTAD))
    assert math.isnan(published_mean(published, key(dataset="elpv", category="mono"), {"mono"}))
    assert math.isnan(published_mean(published, key(detector="patchcore_lite0"), BTAD))


def test_averages_need_the_same_categories(published):
    average = key(category="average")
    assert published_mean(published, average, BTAD) == 70.0
    assert published_mean(published, average, BTAD | {"average"}) == 70.0
    assert math.isnan(published_mean(published, average, {"01", "02"}))
    assert math.isnan(published_mean(published, average, BTAD | {"04"}))
