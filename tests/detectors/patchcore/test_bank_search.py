"""The pruned search finds what the plain one finds."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from variad.detectors import memory_bank as bank_search
from variad.detectors.memory_bank import BankSearch, nearest


def low_dimensional(count: int, seed: int, noise: float, offset: float = 50) -> np.ndarray:
    """Vectors ``[count, 64]`` that mostly vary in six directions."""
    draw, mixing = np.random.default_rng(seed), np.random.default_rng(99).standard_normal((6, 64))
    values = draw.standard_normal((count, 6)) @ mixing + noise * draw.standard_normal((count, 64)) + offset
    return values.astype(np.float32)


@pytest.fixture(autouse=True)
def small_banks(monkeypatch):
    monkeypatch.setattr(bank_search, "SMALLEST_BANK", 100)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.5, 3.0])
@pytest.mark.parametrize("count", [1, 9])
def test_neighbours_equal_brute_force(noise, count):
    bank, queries = low_dimensional(1500, 0, noise), low_dimensional(200, 1, noise)
    search = BankSearch(bank)
    assert (search._basis is None) == (noise == 3.0)  # nothing to prune where all directions vary alike
    distance, index = search.nearest(queries, count)
    exact = np.sort(cdist(queries.astype(float), bank.astype(float)), axis=1)[:, :count]
    np.testing.assert_allclose(distance, exact, atol=1e-4, rtol=0)
    taken = np.linalg.norm(queries[:, None].astype(float) - bank[index], axis=2)
    np.testing.assert_allclose(taken, exact, atol=1e-4, rtol=0)


def test_distances_are_bit_by_bit_those_of_the_plain_search():
    bank, queries = low_dimensional(1500, 2, 0.1), low_dimensional(130, 3, 0.1)
    for ours, plain in zip(BankSearch(bank).nearest(queries), nearest(queries, bank), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_most_of_the_bank_is_ruled_out(monkeypatch):
    compared, lexsort = [], np.lexsort

    def counting(keys):
        compared.append(len(keys[0]))
        return lexsort(keys)

    monkeypatch.setattr(bank_search.np, "lexsort", counting)
    BankSearch(low_dimensional(1500, 0, 0.05)).nearest(low_dimensional(56, 1, 0.05))
    assert sum(compared) < 5 * 56


@pytest.mark.parametrize("far", [1, 56])
def test_a_query_with_very_many_candidates_is_compared_with_all(monkeypatch, far):
    monkeypatch.setattr(bank_search, "_PLAIN", 3)
    bank, queries = low_dimensional(1500, 0, 0.3), low_dimensional(56, 1, 0.3)
    queries[:far] += 1e3  # so far away that all bounds are alike
    np.testing.assert_array_equal(BankSearch(bank).nearest(queries)[1], nearest(queries, bank)[1])


def test_equal_vectors_are_found_at_distance_zero():
    bank = low_dimensional(200, 0, 0.05)
    bank[100:] = bank[:100]
    distance, index = BankSearch(bank).nearest(bank, 2)
    np.testing.assert_array_equal(distance, 0)
    np.testing.assert_array_equal(np.sort(index % 100, axis=1)[:, 0], np.arange(200) % 100)


def test_a_constant_bank_is_searched():
    bank = np.full((300, 64), 7, np.float32)
    distance, _ = BankSearch(bank).nearest(bank[:2] + 1)
    np.testing.assert_allclose(distance, 8)


def test_an_image_alone_and_among_others_has_the_same_distances():
    search, queries = BankSearch(low_dimensional(1500, 0, 0.1)), low_dimensional(150, 1, 0.1)
    together = search.nearest(queries)[0]
    np.testing.assert_array_equal(np.concatenate([search.nearest(queries[i : i + 1])[0] for i in range(150)]), together)
