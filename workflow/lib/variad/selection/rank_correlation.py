"""Kendall's rank correlation of many pairs of rankings at once."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def kendall_tau(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Kendall's τ-b of values ``[..., K]`` and ``[..., K]``, ``[...]``; ties count in neither direction.

    NaN where all values of one side are equal, since then there is no ranking. Equal to ``scipy.stats.kendalltau``.

    Raises:
        ValueError: the last axes differ.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"expected as many values on both sides, found {a.shape[-1]} and {b.shape[-1]}.")
    order_a, order_b = _order_of_pairs(a), _order_of_pairs(b)
    agreement = (order_a * order_b).sum(axis=-1, dtype=np.int64)
    pairs = np.abs(order_a).sum(axis=-1, dtype=np.int64) * np.abs(order_b).sum(axis=-1, dtype=np.int64).astype(
        np.float64
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(pairs > 0, agreement / np.sqrt(pairs), np.nan))


def _order_of_pairs(values: Array) -> NDArray[np.int8]:
    """Sign of the difference of each pair of values, ``[..., K (K - 1) / 2]``."""
    one, other = np.triu_indices(values.shape[-1], k=1)
    return np.sign(values[..., one] - values[..., other]).astype(np.int8)
