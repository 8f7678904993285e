"""From judged categories to the study's tables."""

import numpy as np
import pandas as pd
import pytest

from tests.markdown_rows import rows
from variad.core.tables import read_table, write_table
from variad.selection.judgement import JudgedSource, choice_weights
from variad.selection.records import (
    judged_table,
    read_draws,
    selection_page,
    selection_summary,
    write_draws,
)

NAN = float("nan")


def row(category, source, selected, tau, kind="detector"):
    return {
        "dataset": "elpv",
        "category": category,
        "benchmark": "defects",
        "closest": "",
        "kind": kind,
        "source": source,
        "runs": 3,
        "candidates": 4,
        "selected": selected,
        "oracle": 0.9,
        "average": 0.6,
        "default": 0.8,
        "regret": 0.9 - selected,
        "best_picked": 1 / 3,
        "tau": tau,
        "tau_low": tau - 0.1,
        "tau_high": tau + 0.1,
        "half_split_tau": 0.7,
    }


@pytest.fixture
def judged():
    rows = [row("mono", "scar", 0.8, 0.5), row("mono", "random", 0.6, NAN)]
    rows += [row("poly", "scar", 0.7, 0.1), row("poly", "random", 0.6, NAN), row("poly", "scar", 0.5, 0.2, "prompt")]
    draws = np.full((5, 101), NAN)
    draws[0], draws[2], draws[4] = np.linspace(0.3, 0.5, 101), np.linspace(-0.1, 0.1, 101), 0.2
    return pd.DataFrame(rows), draws


def test_averages_over_categories(judged, tmp_path):
    summary = selection_summary(*judged, "detector")
    write_table(tmp_path / "selection.csv", summary, "selection_summary")
    table = read_table(tmp_path / "selection.csv", "selection_summary").set_index(["category", "source"])
    assert list(table.index) == [
        ("mono", "scar"),
        ("mono", "random"),
        ("poly", "scar"),
        ("poly", "random"),
        ("average", "scar"),
        ("average", "random"),
    ]
    average = table.loc[("average", "scar")]
    assert (average["selected"], average["oracle"], average["regret"]) == (75, 90, 15)
    assert average["tau"] == pytest.approx(0.3) and average["best_picked"] == pytest.approx(1 / 3, abs=1e-4)
    # mean draws run from 0.1 to 0.3 around 0.2, the estimate is 0.3
    assert (
        average["tau_low"] == pytest.approx(0.3 - 0.095) and average["tau_low"] < average["tau"] < average["tau_high"]
    )
    assert table.loc[("average", "random")][["tau", "tau_low", "tau_high"]].isna().all()
    assert table.loc[("mono", "scar"), "tau_low"] == pytest.approx(0.4)


def test_kinds_are_apart_and_groups_have_rows_of_their_own(judged):
    prompts = selection_summary(*judged, "prompt")
    assert prompts[["category", "source", "selected"]].to_numpy().tolist() == [["poly", "scar", 50.0]]
    table, draws = judged
    three = pd.concat([table, table[table["category"] == "mono"].assign(category="tile")], ignore_index=True)
    draws = np.concatenate([draws, draws[:2]])
    groups = {"elpv": {"mono": "object", "poly": "object", "tile": "texture"}}
    summary = selection_summary(three, draws, "detector", groups)
    assert set(summary["category"]) == {"mono", "poly", "tile", "average", "average_object"}
    objects = summary[(summary["category"] == "average_object") & (summary["source"] == "scar")]
    assert objects["selected"].item() == 75


def test_a_source_that_some_category_lacks_has_no_average(judged):
    table, draws = judged
    kept = [0, 1, 3]
    summary = selection_summary(table.iloc[kept].reset_index(drop=True), draws[kept], "detector")
    assert summary.loc[summary["category"] == "average", "source"].tolist() == ["random"]


def test_nothing_judged():
    assert selection_summary(pd.DataFrame([row("mono", "scar", 0.8, 0.5)]), np.zeros((1, 2)), "prompt").empty


def test_markdown(judged):
    text = selection_page(selection_summary(*judged, "detector"), "Choosing detectors", "scaled down")
    assert "# Choosing detectors\n\n> scaled down" in text
    assert "[interval of about 95 % over images; in simulations 84 to 99 %" in text
    assert "## elpv, mono: defects\n\n4 candidates, 3 runs, half-split τ 0.70." in text
    assert ["`scar`", "80.0", "90.0", "60.0", "80.0", "10.0", "+0.50 [+0.40, +0.60]", "33 %"] in rows(text)
    assert ["`random`", "60.0", "90.0", "60.0", "80.0", "30.0", "", "33 %"] in rows(text)


def test_many_categories_are_left_to_the_csv():
    rows = pd.DataFrame([row(f"c{number}", "scar", 0.8, 0.5) for number in range(20)])
    text = selection_page(selection_summary(rows, np.full((20, 2), NAN), "detector"), "t", "")
    assert "elpv, average" in text and "elpv, c1:" not in text


def test_draws_on_disk(tmp_path):
    judged = [
        JudgedSource(row("mono", "scar", 0.8, 0.5), np.array([0.25, 0.5])),
        JudgedSource(row("mono", "random", 0.6, NAN)),
    ]
    write_draws(tmp_path / "draws.h5", judged)
    np.testing.assert_array_equal(read_draws(tmp_path / "draws.h5"), [[0.25, 0.5], [NAN, NAN]])
    table = judged_table(judged, "elpv", "poly")
    write_table(tmp_path / "judged.csv", table, "judged")
    assert read_table(tmp_path / "judged.csv", "judged")["category"].tolist() == ["poly", "poly"]


def test_weights_of_choices_by_run_and_candidate():
    choices = pd.DataFrame(
        [
            (1, "scar", "b", 1.0),
            (0, "random", "a", 0.5),
            (0, "random", "b", 0.5),
            (1, "random", "a", 0.5),
            (1, "random", "b", 0.5),
            (0, "scar", "a", 1.0),
        ],
        columns=["run", "source", "candidate", "weight"],
    )
    weights = choice_weights(choices, ["b", "a", "c"])
    assert list(weights) == ["scar", "random"]
    np.testing.assert_array_equal(weights["scar"], [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(weights["random"], [[0.5, 0.5, 0]] * 2)
