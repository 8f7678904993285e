"""Kendall's tau-b against the definition and against SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import kendalltau

from variad.selection.judgement import kendall_tau


def test_by_hand():
    assert kendall_tau([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    # pairs: (1,2)+ (1,3)+ (1,4)+ (2,3)- (2,4)+ (3,4)+: 5 with, 1 against
    assert kendall_tau([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    # one tie on the left: 2 pairs agree of 2 there, 3 on the right
    assert kendall_tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / np.sqrt(2 * 3))


def test_no_ranking_on_one_side_has_no_tau():
    assert np.isnan(kendall_tau([1, 1, 1], [1, 2, 3]))


small = hnp.arrays(np.float64, st.integers(2, 12).map(lambda n: (2, n)), elements=st.integers(0, 4).map(float))


@given(small)
def test_equals_scipy(values):
    expected = kendalltau(values[0], values[1]).statistic
    assert kendall_tau(values[0], values[1]) == pytest.approx(expected, nan_ok=True)


def test_many_at_once():
    values = np.random.default_rng(0).normal(size=(2, 5, 3, 8))
    together = kendall_tau(values[0], values[1])
    assert together.shape == (5, 3)
    assert together[4, 2] == pytest.approx(kendalltau(values[0, 4, 2], values[1, 4, 2]).statistic)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="found 3 and 2"):
        kendall_tau([1, 2, 3], [1, 2])
