"""What is printed stands beside the cells that it is about, and the notes on it say what the tables say."""

import math

import pytest

from tests.paper.ablations.made_metrics import published
from variad.evaluation.aggregation import published_detector
from variad.paper.ablation_values import PLACES, printed_component, printed_form, printed_prompt


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


def test_notes_are_what_the_values_say(ablations, auroc):
    """Every note of tables 17 and 18, worked out of the values; that the text gives 10.1 is in A.5.1 alone."""
    gain = printed_component(ablations, 17, cell("leather", "efficientad"), "clip_rn50x64").gain
    expected = {
        (17, "leather", "clip_rn50x64"): f"The text (A.5.1) gives this gain as 10.1 points, the table as {gain:.1f}."
    }
    titles = {"efficientad": "EfficientAD", "cflow": "CFlow"}
    main = auroc[(auroc["table"] > 5) & (auroc["metric"] == "image_auroc")]
    main = main.set_index(["dataset", "category", "detector", "scenario", "source"]).sort_index()
    for (table, category), (detector, scenario) in PLACES.items():
        here, name = cell(category, detector, scenario=scenario), published_detector(detector)
        rows = ("baseline", "strategies_1", "generated")
        baseline, strategy, generated = (printed_component(ablations, table, here, row) for row in rows)
        if (strategy.mean, strategy.std) == (baseline.mean, baseline.std):
            expected[table, category, "strategies_1"] = "Printed equal to the baseline, spread included."
        for row, printed, source in (("baseline", baseline, "original"), ("generated", generated, "generated")):
            number, mean = main.loc[("mvtec_ad", category, name, scenario, source), ["table", "mean_percent"]]
            if table == 18 and mean != printed.mean:
                expected[table, category, row] = f"Table {number:.0f} prints {mean} for the same cell."
            elif table == 17 and mean == printed.mean:
                text = f"{mean} is {titles[detector]}'s one-shot baseline of table {number:.0f}."
                expected[table, category, row] = f"No detector is named here; {text}"
    noted = ablations[ablations["table"].isin([17, 18]) & (ablations["note"] != "")].to_dict("records")
    assert {(row["table"], row["what"].split("_")[0], row["component"]): row["note"] for row in noted} == expected


def test_a_note_comes_with_its_value_alone(ablations):
    baseline = printed_component(ablations, 18, cell("grid", "patchcore"), "baseline")
    assert baseline.note == "Table 7 prints 47.2 for the same cell."
    assert printed_component(ablations, 18, cell("grid", "cflow"), "baseline").note == ""
    assert "scale of its LPIPS" in printed_form(ablations, "mvtec_ad", "lpips", "mu").note
    assert printed_form(ablations, "mvtec_ad", "lpips", "original").note == ""
    assert printed_form(ablations, "textures", "lpips", "mu").note == ""
