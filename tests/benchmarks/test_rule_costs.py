"""Costs of units from what jobs took."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from variad.core.tables import read_table, write_table
from variad.study.work import Work, read_costs

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def fit_costs(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from rule_costs import fit_costs

    return fit_costs


def test_fit_finds_the_costs_that_made_the_times(fit_costs):
    jobs = [("rule", Work("v", {"images": count}), 2.0 + 0.5 * count) for count in (0, 1, 4, 100)]
    found = fit_costs(jobs)
    assert found["rule", "v", "job"] == pytest.approx(2.0)
    assert found["rule", "v", "images"] == pytest.approx(0.5)


def test_fit_takes_off_what_is_known_and_returns_the_rest(fit_costs):
    jobs = [("rule", Work("v", {"images": a, "pixels": b}), 1 + a + 10 * b) for a, b in ((1, 0), (2, 1), (5, 3))]
    found = fit_costs(jobs, {("rule", "v", "pixels"): 10.0})
    assert found == {("rule", "v", "job"): pytest.approx(1.0), ("rule", "v", "images"): pytest.approx(1.0)}


def test_fit_takes_off_what_other_rules_do(fit_costs):
    seen = [("see", Work("n", {"images": count}), 1.0 + 0.5 * count) for count in (0, 2, 10)]
    also = [Work("v", {"steps": steps}, {"see": Work("n", {"images": 4})}) for steps in (0, 10, 30)]
    found = fit_costs([*seen, *(("train", work, 3.0 + work.units["steps"] + 4 * 0.5) for work in also)])
    assert found["train", "v", "job"] == pytest.approx(3.0) and found["train", "v", "steps"] == pytest.approx(1.0)
    assert found["see", "n", "images"] == pytest.approx(0.5)


def test_work_that_never_varies_is_charged_what_is_above_the_rules_shortest_job(fit_costs):
    jobs = [
        ("rule", Work("none"), 0.5),
        ("rule", Work("v", {"steps": 100}), 10.5),
        ("rule", Work("v", {"steps": 100}), 12.5),
    ]
    found = fit_costs(jobs)
    assert found["rule", "v", "job"] == 0.5
    assert found["rule", "v", "steps"] == pytest.approx(0.11)


def test_gpu_costs_of_the_papers_study_are_those_of_the_parts_and_none_is_missing(tmp_path):
    """The committed rows are what the script makes of the committed parts; three of them checked by hand."""
    committed = read_table(BENCHMARKS / "rule_costs.csv", "rule_costs")
    write_table(tmp_path / "costs.csv", committed[committed["device"] == "cpu"], "rule_costs")
    command = [sys.executable, BENCHMARKS / "gpu_costs.py", "--output", tmp_path / "costs.csv"]
    subprocess.run(command, check=True, capture_output=True)
    made = read_table(tmp_path / "costs.csv", "rule_costs")
    pd.testing.assert_frame_equal(
        made.sort_values(list(made.columns), ignore_index=True),
        committed.sort_values(list(committed.columns), ignore_index=True),
    )
    costs = {key: cost for key, cost in read_costs(tmp_path / "costs.csv", "cuda").seconds.items() if key[2] != "job"}
    one = {(rule, variant.split(",")[0], unit): cost for (rule, variant, unit), cost in costs.items()}
    assert one["train_detector", "efficientad", "steps"] == pytest.approx(4.094e-3)  # ms a step, JPEGs
    assert one["train_detector", "reverse_distillation", "image_epochs"] == pytest.approx(17.89e-3 / 16)  # launched
    assert one["train_detector", "cflow", "image_epochs"] == pytest.approx(0.8734e-3 * (32**2 + 16**2 + 8**2) / 256)
    methods = ("patchcore", "cflow", "reverse_distillation", "efficientad")
    assert {(rule, name) for rule, name, unit in one if name in methods} == {
        (rule, name) for rule in ("train_detector", "score_test_set") for name in methods
    }
    assert one["embed_candidates", "ViT-B-16-quickgelu", "texts"] < one["score_prompts", "ViT-B-16-quickgelu", "images"]
