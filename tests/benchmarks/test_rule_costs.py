"""Costs of units from what jobs took."""

from pathlib import Path

import pytest

from variad.study.work import Work

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
