"""Ours: gains, averages over the document's categories only, and nothing where the study is not complete."""

import math

import pandas as pd
import pytest

from variad.paper.comparison import KEY, MEMBERS, Measured


def summary(means, std=0.5):
    """BTAD, PatchCore, one shot: (category, training set) to mean."""
    rows = [
        ("btad", "patchcore", "one_shot", training_set, category, "image_auroc", mean, std)
        for (category, training_set), mean in means.items()
    ]
    return pd.DataFrame(rows, columns=[*KEY[:3], "training_set", *KEY[4:], "mean", "std"])


def key(source, category):
    return dict(zip(KEY, ("btad", "patchcore", "one_shot", source, category, "image_auroc"), strict=True))


MEANS = {("01", "original"): 70.0, ("02", "original"): 80.0, ("03", "original"): 64.0}
OURS = {("01", "generated"): 72.5, ("02", "generated"): 79.0, ("03", "generated"): 64.0}


def test_value_and_gain_of_a_category():
    measured = Measured(summary(MEANS | OURS))
    assert measured.value(key("original", "01")) == (70.0, 0.5)
    assert [measured.value(key("gain", category))[0] for category in ("01", "02", "03")] == [2.5, -1.0, 0.0]
    assert math.isnan(measured.value(key("gain", "01"))[1])


def test_average_is_that_of_the_documents_categories_with_the_summarys_spread():
    measured = Measured(summary(MEANS | OURS | {("average", "original"): 71.3333, ("average", "generated"): 71.8333}))
    assert measured.value(key("original", "average")) == (71.3333, 0.5)
    assert measured.value(key("gain", "average"))[0] == pytest.approx(0.5, abs=1e-4)


def test_an_average_over_other_categories_too_gives_no_spread():
    mean, std = Measured(summary(MEANS | {("04", "original"): 100.0, ("average", "original"): 78.5})).value(
        key("original", "average")
    )
    assert mean == 71.3333
    assert math.isnan(std)


def test_no_average_and_no_gain_of_an_incomplete_study():
    two = {place: mean for place, mean in MEANS.items() if place[0] != "03"}
    measured = Measured(summary(two | OURS | {("average", "original"): 75.0}))
    assert math.isnan(measured.value(key("original", "average"))[0])
    assert math.isnan(measured.value(key("gain", "average"))[0])
    assert math.isnan(measured.value(key("gain", "03"))[0])
    assert measured.value(key("gain", "02"))[0] == -1.0


def test_mean_gain_of_all_detectors_needs_them_all():
    names = {"patchcore": 1.0, "cflow": 2.0, "reverse_distillation": 3.0, "efficientad": 6.0}
    rows = [
        ("mvtec_ad", detector, "one_shot", source, category, "image_auroc", 50.0 + gain * (source == "generated"), 0.1)
        for detector, gain in names.items()
        for source in ("original", "generated")
        for category in MEMBERS["mvtec_ad", "average"]
    ]
    table = pd.DataFrame(rows, columns=[*KEY[:3], "training_set", *KEY[4:], "mean", "std"])
    wanted = dict(zip(KEY, ("mvtec_ad", "average", "one_shot", "gain", "average", "image_auroc"), strict=True))
    assert Measured(table).value(wanted)[0] == 3.0
    assert math.isnan(Measured(table[table["detector"] != "cflow"]).value(wanted)[0])


def test_other_training_sets_are_not_ours():
    measured = Measured(summary({("01", "generated_tuned"): 99.0}))
    assert math.isnan(measured.value(key("generated", "01"))[0])
