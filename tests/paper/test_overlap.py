"""AUROC by type of anomaly, AU-sPRO and AUPRO, taken from a summary made by hand."""

import pandas as pd
import pytest

from tests.markdown_rows import rows
from variad.core.tables import read_table, write_table
from variad.evaluation.pixel import FPR_LIMITS
from variad.paper.overlap import by_type, by_type_page, per_region, per_region_page

TYPED = {
    "image_auroc": 80.0,
    "image_auroc_logical": 70.0,
    "image_auroc_structural": 88.0,
    "image_auroc_type_mean": 79.0,
}
SPRO = {
    f"au_spro_{limit}{ending}": 40.0 + 10 * limit + shift
    for limit in FPR_LIMITS
    for ending, shift in (("_logical", -5), ("_structural", 5), ("", 0))
}


def made(dataset, category, training_set, values, gain=float("nan")):
    key = {"dataset": dataset, "category": category, "detector": "patchcore", "scenario": "one_shot"}
    return [
        {**key, "training_set": training_set, "metric": metric, "mean": mean, "std": 0.25, "runs": 5, "gain": gain}
        for metric, mean in values.items()
    ]


@pytest.fixture
def summary():
    more = {name: value + 2 for name, value in (TYPED | SPRO).items()}
    return pd.DataFrame(
        [
            *made("mvtec_ad", "bottle", "original", {"image_auroc": 90.0, "aupro": 85.0}),
            *made("mvtec_ad", "bottle", "generated", {"aupro": 86.04}, 1.04),
            *made("mvtec_ad", "average", "original", {"aupro": 85.0}),
            *made("mvtec_loco", "screw_bag", "original", {"aupro": 60.0, "pixel_f1_max": 50.0} | SPRO | TYPED),
            *made("mvtec_loco", "screw_bag", "generated", more, 2.0),
        ]
    )


def test_types_apart_and_limits_in_order(summary, tmp_path):
    write_table(tmp_path / "loco.csv", by_type(summary), "overlap_summary")
    table = read_table(tmp_path / "loco.csv", "overlap_summary")
    assert set(table["dataset"]) == {"mvtec_loco"}
    first = table[table["training_set"] == "original"]
    assert first["measure"].tolist() == ["image_auroc"] * 4 + ["au_spro"] * 15
    assert first["anomalies"].tolist()[:7] == [
        "all",
        "logical",
        "structural",
        "mean_of_types",
        "logical",
        "structural",
        "mean_of_types",
    ]
    assert first["mean"].tolist()[:7] == [80, 70, 88, 79, 35.1, 45.1, 40.1]
    assert first["fpr_limit"].tolist()[4::3] == [0.01, 0.05, 0.1, 0.3, 1.0]
    assert first["fpr_limit"].isna().tolist() == [True] * 4 + [False] * 15
    assert set(table[table["training_set"] == "generated"]["gain"]) == {2.0}


def test_aupro_of_every_data_set_with_masks(summary, tmp_path):
    write_table(tmp_path / "aupro.csv", per_region(summary), "overlap_summary")
    table = read_table(tmp_path / "aupro.csv", "overlap_summary")
    assert table["mean"].tolist() == [85.0, 86.04, 85.0, 60.0]
    assert table["category"].tolist() == ["bottle", "bottle", "average", "screw_bag"]
    assert set(table["fpr_limit"]) == {0.3}


def test_page_of_both_types(summary):
    page = by_type_page(by_type(summary), "A study.")
    assert "> A study." in page and "## mvtec_loco, patchcore, one_shot" in page
    table = rows(page)
    assert table[0][:5] == [
        "category",
        "training set",
        "image AUROC, all",
        "image AUROC, logical",
        "image AUROC, structural",
    ]
    assert table[0][-2:] == ["AU-sPRO, FPR ≤ 0.3", "AU-sPRO, FPR ≤ 1"]
    values = ["80.0 (±0.2)", "70.0 (±0.2)", "88.0 (±0.2)", "79.0 (±0.2)", "40.1 (±0.2)"]
    assert table[2][:7] == ["screw_bag", "original", *values]
    assert table[3][:3] == ["screw_bag", "generated", "82.0 (±0.2)"]
    assert len(table) == 4


def test_page_of_aupro_has_a_column_a_training_set(summary):
    table = rows(per_region_page(per_region(summary), ""))
    assert table[0] == ["category", "original", "generated"]
    assert table[2] == ["bottle", "85.0 (±0.2)", "86.0 (±0.2)"]
    assert table[3] == ["average", "85.0 (±0.2)", "–"]


def test_a_study_without_such_data_says_so(summary, tmp_path):
    none = by_type(summary[summary["dataset"] == "mvtec_ad"])
    write_table(tmp_path / "loco.csv", none, "overlap_summary")
    assert read_table(tmp_path / "loco.csv", "overlap_summary").empty
    assert "no such data set" in by_type_page(none, "")
