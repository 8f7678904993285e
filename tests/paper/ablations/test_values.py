"""Mean, spread and paired gain, by hand."""

import math

import pandas as pd
import pytest

from tests.paper.ablations.made_metrics import CELL, metrics
from variad.core.tables import write_table
from variad.paper.ablation_values import mean_of_categories, measured, paired_gain, percent_by_run, read_metrics

KEY = ("d", "a", "x", "one_shot", "g")


def runs(**values):
    return pd.Series({int(name[1:]): value for name, value in values.items()})


def test_percent_of_one_cell_by_run():
    table = metrics({KEY: [0.5, 0.75], (*KEY[:4], "original"): [0.1]})
    assert percent_by_run(table, dict(zip(CELL, KEY, strict=True))).to_dict() == {0: 50.0, 1: 75.0}
    assert percent_by_run(table, dict(zip(CELL, (*KEY[:4], "none"), strict=True))).empty


def test_gains_are_paired_by_run():
    assert paired_gain(runs(r0=60.0, r1=70.0, r2=99.0), runs(r1=40.0, r0=58.0)).to_dict() == {0: 2.0, 1: 30.0}


def test_what_was_measured():
    found = measured(runs(r0=60.0, r1=70.0), runs(r0=58.0, r1=60.0))
    # gains 2 and 10: mean 6, standard deviation 4 * sqrt 2; values 60 and 70: 5 * sqrt 2
    assert found == pytest.approx(
        {"ours_mean": 65, "ours_std": 7.0711, "runs": 2, "ours_gain": 6, "ours_gain_std": 5.6569}, abs=1e-4
    )
    alone = measured(runs(r0=60.0), None)
    assert alone["ours_mean"] == 60 and alone["runs"] == 1
    assert math.isnan(alone["ours_std"]) and math.isnan(alone["ours_gain"])
    nothing = measured(pd.Series(dtype=float), pd.Series(dtype=float))
    assert nothing["runs"] == 0 and math.isnan(nothing["ours_mean"])


def test_mean_of_categories_needs_the_run_of_each():
    assert mean_of_categories([runs(r0=10.0, r1=20.0), runs(r1=40.0)]).to_dict() == {1: 30.0}
    assert mean_of_categories([runs(r0=10.0), pd.Series(dtype=float)]).empty


def test_cells_without_anomalies_add_nothing(tmp_path):
    full, empty = metrics({KEY: [0.5]}), metrics({KEY: [0.5]}).iloc[:0]
    write_table(tmp_path / "full.csv", full, "metrics")
    write_table(tmp_path / "empty.csv", empty, "metrics")
    assert len(read_metrics([tmp_path / "empty.csv", tmp_path / "full.csv"])) == 1
    assert percent_by_run(read_metrics([tmp_path / "empty.csv"]), dict(zip(CELL, KEY, strict=True))).empty
