"""Counting in sorted parts against sorting everything at once."""

import numpy as np
import pytest

from variad.evaluation.ranking import at_ranks, counts_around, pieces, rank_parts


def parts_of(rng, levels, sizes=(0, 1, 700, 5, 300, 1200)):
    values = (rng.integers(0, levels, size) / 3 for size in sizes)
    return [np.sort(part).astype(np.float32) for part in values]


CASES = [(levels, size) for levels in (1, 3, 50, 100_000) for size in (64, 500, 1 << 20)]


@pytest.mark.parametrize(("levels", "size"), CASES)
def test_pieces_are_everything_in_order(levels, size):
    parts = parts_of(np.random.default_rng(levels), levels)
    found = list(pieces(parts, size))
    np.testing.assert_array_equal(np.concatenate([piece for _, _, piece in found]), np.sort(np.concatenate(parts)))
    for low, high, piece in found:
        assert np.all(piece >= low)
        assert np.all(piece < high)


def test_pieces_are_about_as_large_as_asked_for():
    rng = np.random.default_rng(0)
    parts = [np.sort(rng.normal(k, 1, 5000)).astype(np.float32) for k in range(20)]
    sizes = [piece.size for _, _, piece in pieces(parts, 1024)]
    assert 70 < len(sizes) < 130
    assert max(sizes) < 2048


@pytest.mark.parametrize(("levels", "size"), CASES)
def test_counts_and_ranks_equal_those_of_one_array(levels, size):
    rng = np.random.default_rng(levels + 1)
    parts = parts_of(rng, levels)
    everything = np.sort(np.concatenate(parts))
    values = np.unique(rng.choice(np.concatenate([everything, everything + np.float32(0.1), [-9, 1e6]]), 300))
    values = values.astype(np.float32)
    below, through = counts_around(parts, values, size)
    np.testing.assert_array_equal(below, np.searchsorted(everything, values, "left"))
    np.testing.assert_array_equal(through, np.searchsorted(everything, values, "right"))
    ranks = np.array([0, 0, 5, 700, everything.size - 1])
    np.testing.assert_array_equal(at_ranks(parts, ranks, size), everything[ranks])


def test_ranking_in_parts_equals_ranking_at_once():
    rng = np.random.default_rng(2)
    parts, positives, weights = parts_of(rng, 40), rng.integers(0, 40, 90) / np.float32(3), rng.random(90)
    negatives = np.sort(np.concatenate(parts))
    plain, weighted = rank_parts(positives, parts, [None, weights])
    values = np.unique(positives)[::-1]
    for found, mass in ((plain, np.ones(90)), (weighted, weights)):
        np.testing.assert_allclose(found.positives, [mass[positives == value].sum() for value in values], rtol=1e-12)
        np.testing.assert_array_equal(found.above, [(negatives > value).sum() for value in values])
        np.testing.assert_array_equal(found.tied, [(negatives == value).sum() for value in values])
        assert found.negatives == negatives.size


@pytest.mark.parametrize(
    ("positives", "parts", "message"),
    [
        ([], [[1.0]], "found 0 and 1"),
        ([1.0], [[], []], "found 1 and 0"),
        ([1.0], [], "found 1 and 0"),
        ([np.nan], [[1.0]], "finite"),
        ([1.0], [[0.0], [1.0, np.inf]], "finite"),
    ],
)
def test_nothing_to_rank(positives, parts, message):
    with pytest.raises(ValueError, match=message):
        rank_parts(np.array(positives), [np.array(part) for part in parts], [None])
