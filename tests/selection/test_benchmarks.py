"""Real AUROC by benchmark."""

import numpy as np
import pytest

from variad.selection.judgement import benchmark_auroc, closest_class, half_counts, resample_counts

# against 'far' every pair is right; against 'near' 3 of 6
SCORES = np.array([1.0, 2.0, 3.0, 9.0, 8.0, 7.0, 2.5, 1.5])
DEFECTS = np.array(["good", "good", "good", "far", "far", "far", "near", "near"])
ONCE = np.ones((1, len(SCORES)))


def value(benchmark, closest=""):
    return benchmark_auroc(benchmark, SCORES, DEFECTS, ONCE, closest)[0]


def test_by_hand():
    assert value("defects") == value("one_vs_rest") == pytest.approx((9 + 3) / 15)
    assert value("one_vs_one") == pytest.approx((1 + 3 / 6) / 2)
    assert value("one_vs_closest", "near") == pytest.approx(0.5)
    assert value("one_vs_closest", "far") == 1


def test_closest_is_the_class_with_the_lowest_auroc_over_all_candidates_and_runs():
    swapped = SCORES.copy()
    swapped[3:6] = 0.0  # this candidate finds 'far' hardest
    assert closest_class([[SCORES]], DEFECTS) == "near"
    assert closest_class([[swapped]], DEFECTS) == "far"
    # far: (1 + 1 + 0) / 3, near: 1/2 for all
    assert closest_class([[SCORES, swapped], [SCORES]], DEFECTS) == "near"
    assert closest_class([[SCORES, swapped], [swapped]], DEFECTS) == "far"


def test_counts_weigh_images_as_repetitions_do():
    counts = np.array([[2, 0, 1, 1, 1, 1, 3, 0.0]])
    repeated = np.repeat(np.arange(8), counts[0].astype(int))
    expected = benchmark_auroc("one_vs_one", SCORES[repeated], DEFECTS[repeated], np.ones((1, len(repeated))))
    np.testing.assert_allclose(benchmark_auroc("one_vs_one", SCORES, DEFECTS, counts), expected)


def test_a_class_that_a_resample_lacks_is_left_out():
    counts = np.array([[1, 1, 1, 1, 1, 1, 0, 0.0]])
    assert benchmark_auroc("one_vs_one", SCORES, DEFECTS, counts) == 1
    assert np.isnan(benchmark_auroc("one_vs_closest", SCORES, DEFECTS, counts, "near"))


def test_resamples_keep_the_number_of_every_class():
    counts = resample_counts(DEFECTS, np.random.default_rng(0), 50)
    for name, number in (("good", 3), ("far", 3), ("near", 2)):
        assert (counts[:, name == DEFECTS].sum(axis=1) == number).all()
    assert counts.max() > 1


def test_halves_hold_half_of_every_class():
    counts = half_counts(DEFECTS, np.random.default_rng(0), 50)
    assert set(np.unique(counts)) == {0, 1}
    assert (counts[:, DEFECTS == "near"].sum(axis=1) == 1).all()
    assert set(counts[:, DEFECTS == "good"].sum(axis=1)) == {1, 2}
    assert 0 < counts[:, 0].mean() < 1
