"""Regret and gain by hand."""

import numpy as np
import pandas as pd
import pytest

from tests.markdown_rows import rows as table_rows
from variad.core.tables import read_table, write_table
from variad.selection.recipes import judge_sources, real_results, recipe_page, recipe_table

RUNS = [0, 1]
KEY = ("elpv", "mono", "patchcore", "one_shot")


def real(runs: list[list[float]]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"run": run, "image_id": list("abcd"), "label": [0, 0, 1, 1], "score": values})
        for run, values in enumerate([*runs, [1, 2, 3, 4]])  # a third run, which has no support set
    ]
    return pd.concat(parts)


# AUROC: original 0.5, 1; generated 0.75, 0.75; tuned 1, 0.5
REAL = {
    "original": real([[1, 4, 2, 3], [1, 2, 3, 4]]),
    "generated": real([[1, 3, 2, 4], [1, 3, 2, 4]]),
    "tuned": real([[1, 2, 3, 4], [1, 4, 2, 3]]),
}
AUROCS = pd.DataFrame(
    [(run, "scar", name, value) for run in RUNS for name, value in zip(REAL, (0.9, 0.8, 0.7), strict=True)],
    columns=["run", "source", "training_set", "synthetic_auroc"],
)
CHOICES = pd.DataFrame(
    [(0, "scar", "original", 1.0), (1, "scar", "original", 0.5), (1, "scar", "generated", 0.5)],
    columns=["run", "source", "training_set", "weight"],
)


def rows() -> dict:
    results = real_results(REAL, RUNS, 0, KEY, draws=50)
    return {row.source: row for row in judge_sources(AUROCS, CHOICES, results, RUNS, "tuned")}


def test_worth_of_a_choice_by_hand() -> None:
    scar = rows()["scar"]
    # run 0: original, 0.5; run 1: half original, half generated, 0.875
    assert scar.numbers["selected"] == pytest.approx((0.5 + 0.875) / 2)
    assert scar.numbers["default"] == 0.75 and scar.numbers["oracle"] == 1.0 and scar.numbers["average"] == 0.75
    assert scar.numbers["regret"] == pytest.approx(1 - 0.6875)
    assert scar.numbers["gain"] == pytest.approx(0.6875 - 0.75)
    assert scar.numbers["best_picked"] == 0.25
    # ranks agree fully in run 1, and are the other way round in run 0
    assert scar.numbers["tau"] == pytest.approx(0.0)
    assert scar.chosen == "original 1.5, generated 0.5"


def test_default_and_random_rows() -> None:
    default, random = rows()["default"], rows()["random"]
    assert default.numbers["gain"] == 0 and default.numbers["regret"] == 0.25 and (default.gain_draws == 0).all()
    assert random.numbers["selected"] == pytest.approx(0.75) and np.isnan(random.numbers["tau"])


def test_the_table_has_averages_and_reads_back(tmp_path) -> None:
    both = {KEY: list(rows().values()), ("elpv", "poly", *KEY[2:]): list(rows().values())}
    table = recipe_table(both)
    assert table["category"].drop_duplicates().tolist() == ["mono", "poly", "average"]
    average = table[(table["category"] == "average") & (table["source"] == "scar")].iloc[0]
    assert (average["selected"], average["regret"], average["best_picked"]) == (68.75, 31.25, 0.25)
    write_table(tmp_path / "recipes.csv", table, "recipes")
    page = recipe_page(read_table(tmp_path / "recipes.csv", "recipes"), "Scaled down.", "tuned")
    row = table_rows(page)[2]
    assert row[:7] == ["`scar`", "original 1.5, generated 0.5", "68.8", "75.0", "100.0", "75.0", "31.2"]
    assert row[7].startswith("-6.2 [")
    assert "3 recipes, 2 runs." in page
