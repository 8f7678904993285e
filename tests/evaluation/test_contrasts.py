"""Differences between training sets: values by hand, pairing, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.evaluation.aggregation import SummaryRow, contrast_table

KEY = {"dataset": "elpv", "category": "mono", "detector": "patchcore", "scenario": "one_shot", "metric": "image_auroc"}
NONE = np.zeros(0)
BASE = SummaryRow(
    **KEY, training_set="original", runs=(0, 1), values=np.array([0.7, 0.8]), gain=np.nan, gain_draws=NONE
)
DRAWS = np.random.default_rng(0).normal(0, 0.1, 2000)
WITH = replace(BASE, training_set="text", values=np.array([0.8, 0.9]), gain=0.1, gain_draws=0.1 + DRAWS)
WITHOUT = replace(BASE, training_set="plain", values=np.array([0.75, 0.85]), gain=0.05, gain_draws=0.05 + DRAWS)


def test_a_difference_is_paired_draw_by_draw(tmp_path):
    """Noise that both sides share cancels: the interval of +5 points has no width, though each gain's is wide."""
    table = contrast_table([BASE, WITH, WITHOUT], [("text", "plain"), ("plain", "text")])
    found = table.set_index(["training_set", "against"])[["difference", "low", "high", "runs"]]
    assert found.loc[("text", "plain")].tolist() == pytest.approx([5, 5, 5, 2])
    assert found.loc[("plain", "text")].tolist() == pytest.approx([-5, -5, -5, 2])
    write_table(tmp_path / "contrasts.csv", table, "contrasts")
    assert len(read_table(tmp_path / "contrasts.csv", "contrasts")) == 2


def test_against_the_baseline_it_is_the_gain():
    row = contrast_table([BASE, WITH], [("text", "original")]).iloc[0]
    low, high = np.quantile(100 * WITH.gain_draws, [0.025, 0.975])
    assert [row["difference"], row["low"], row["high"]] == pytest.approx([10, low, high], abs=0.05)


def test_only_rows_of_the_same_place_are_compared():
    elsewhere = replace(WITHOUT, category="poly")
    assert contrast_table([WITH, elsewhere], [("text", "plain")]).empty


def test_a_training_set_without_results_is_named():
    with pytest.raises(UserError, match=r"study.contrasts: expected training sets of the study, found 'absent'"):
        contrast_table([BASE, WITH], [("text", "absent")])
