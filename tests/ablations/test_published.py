"""What is printed stands beside the cells that it is about, and the notes on it say what the tables say."""

import math

import pytest

from variad.ablations.published import NOTES, PLACES, printed_component, printed_form, printed_prompt
from variad.published import published_detector

from .made_metrics import published


@pytest.fixture(scope="module")
def ablations():
    return published("ablations", "published_ablations")


@pytest.fixture(scope="module")
def auroc():
    return published("auroc", "published_auroc")


def cell(category, detector, dataset="mvtec_ad", scenario="one_shot"):
    return {"dataset": dataset, "category": category, "detector": detector, "scenario": scenario}


def test_values_of_table_17(ablations):
    leather = cell("leather", "efficientad")
    assert printed_component(ablations, 17, leather, "clip_rn50x64").columns == {
        "published_mean": 76.1,
        "published_std": 0.1,
        "published_gain": 10.3,
    }
    pill = printed_component(ablations, 17, cell("pill", "cflow"), "strategies_2")
    assert (pill.mean, pill.std, pill.gain) == (58.8, 0.0, -9.8)
    baseline = printed_component(ablations, 17, leather, "baseline")
    assert baseline.mean == 65.8 and math.isnan(baseline.gain)


def test_values_of_table_18_have_no_spread(ablations):
    found = printed_component(ablations, 18, cell("grid", "patchcore"), "generated")
    assert (found.mean, found.gain) == (72.2, 3.6) and math.isnan(found.std)


@pytest.mark.parametrize(
    "other",
    [
        cell("leather", "patchcore"),
        cell("leather", "efficientad", dataset="mine"),
        cell("leather", "efficientad", scenario="few_shot"),
        cell("tile", "efficientad"),
    ],
)
def test_other_cells_have_none(ablations, other):
    assert math.isnan(printed_component(ablations, 17, other, "baseline").mean)


def test_components_that_are_not_printed_have_none(ablations):
    assert math.isnan(printed_component(ablations, 18, cell("grid", "patchcore"), "mixed").mean)


def test_values_of_table_16(ablations):
    assert printed_form(ablations, "mvtec_ad", "psnr_db", "mu").mean == 26.6
    assert math.isnan(printed_form(ablations, "mvtec_ad", "psnr_db", "original").mean)
    auroc = printed_form(ablations, "mvtec_ad", "average_auroc_percent", "mu_sigma_epsilon")
    assert (auroc.mean, auroc.gain) == (88.6, 0.9)
    assert math.isnan(printed_form(ablations, "mvtec_ad", "ssim", "mu").gain)
    assert math.isnan(printed_form(ablations, "textures", "ssim", "mu").mean)


def test_prompts_of_table_4(ablations):
    assert printed_prompt(ablations, "mvtec_ad", "hazelnut", "worst") == ("a {hazelnut} with {decantherous}", "")
    prompt, note = printed_prompt(ablations, "mvtec_ad", "metal_nut", "best")
    assert prompt == "a {metanut} with {metallical}" and "metanut" in note
    assert printed_prompt(ablations, "mvtec_ad", "bottle", "best") == ("", "")
    assert printed_prompt(ablations, "mine", "hazelnut", "best") == ("", "")


def test_notes_say_what_the_tables_say(ablations, auroc):
    """The numbers in the notes are the published ones, and they do disagree, or agree, as the notes say."""
    equal = {(17, "leather", "baseline"), (17, "pill", "baseline")}
    for (table, category, row), note in NOTES.items():
        detector, scenario = PLACES[table, category]
        printed = printed_component(ablations, table, cell(category, detector, scenario=scenario), row)
        if (table, category, row) in equal or table == 18:
            main = auroc[(auroc["dataset"] == "mvtec_ad") & (auroc["table"] > 5) & (auroc["metric"] == "image_auroc")]
            main = main[(main["category"] == category) & (main["scenario"] == scenario)]
            main = main[main["source"] == ("generated" if row == "generated" else "original")]
            main = main[main["detector"] == published_detector(detector)].iloc[0]
            assert f"{main['mean_percent']:.1f}" in note and f"able {main['table']}" in note
            assert (main["mean_percent"] == printed.mean) == ((table, category, row) in equal)
        elif row == "strategies_1":
            baseline = printed_component(ablations, table, cell(category, detector), "baseline")
            assert (printed.mean, printed.std) == (baseline.mean, baseline.std)
        else:
            assert f"{printed.gain:.1f}" in note
