"""Counts of negatives around each distinct positive score: all that AUROC, average precision and F1-max need.

Recall changes only where a positive lies, so these few counts give the same values as the full curves, ties included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variad.metrics.sorted_parts import counts_around

Array = NDArray[Any]


@dataclass(frozen=True)
class Ranking:
    """Weights at the K distinct scores of positives, from the highest score to the lowest.

    Attributes:
        positives: ``[..., K]`` weight of the positives that have this score.
        above: ``[..., K]`` weight of the negatives with a higher score.
        tied: ``[..., K]`` weight of the negatives with the same score.
        negatives: ``[...]`` weight of all negatives.
    """

    positives: Array
    above: Array
    tied: Array
    negatives: Array

    def auroc(self) -> Array:
        """Area under the ROC curve, ``[...]``: the chance that a positive outranks a negative, ties counted half."""
        lost = (self.positives * (self.above + self.tied / 2)).sum(-1)
        return np.asarray(1 - lost / (self.positives.sum(-1) * self.negatives))

    def average_precision(self) -> Array:
        """Average precision, ``[...]``: precision at each step of recall, weighted by the step, not interpolated."""
        hits, alarms = self._at_threshold()
        precision = np.divide(hits, alarms, out=np.zeros(hits.shape), where=alarms > 0)
        return np.asarray((self.positives * precision).sum(-1) / self.positives.sum(-1))

    def f1_max(self) -> Array:
        """Highest F1 over all thresholds, ``[...]``."""
        hits, alarms = self._at_threshold()
        return np.asarray((2 * hits / (alarms + self.positives.sum(-1, keepdims=True))).max(-1))

    def _at_threshold(self) -> tuple[Array, Array]:
        hits = self.positives.cumsum(-1)
        return hits, hits + self.above + self.tied


def rank(positives: Array, negatives: Array, weights: Array | None = None) -> Ranking:
    """Rank the scores of positives ``[P]`` against those of negatives ``[N]``, which are sorted ascending.

    Args:
        weights: ``[P]`` weight of each positive; 1 when not given.

    Raises:
        ValueError: one class is empty, or a score is not finite.
    """
    if not positives.size or not negatives.size:
        raise ValueError(f"expected positives and negatives, found {positives.size} and {negatives.size}.")
    values, index = np.unique(positives, return_inverse=True)
    # Sorting puts what is not finite at the ends, so the ends speak for all.
    if not np.isfinite([values[0], values[-1], negatives[0], negatives[-1]]).all():
        raise ValueError("expected finite scores, found NaN or infinity.")
    low = np.searchsorted(negatives, values, side="left")
    high = np.searchsorted(negatives, values, side="right")
    mass = np.bincount(index, weights)
    return Ranking(mass[::-1], (negatives.size - high)[::-1], (high - low)[::-1], np.asarray(negatives.size))


def rank_parts(positives: Array, negatives: Sequence[Array], weightings: Sequence[Array | None]) -> list[Ranking]:
    """As ``rank``, once for each weighting of the positives, against negatives in many ascending arrays.

    Raises:
        ValueError: one class is empty, or a score is not finite.
    """
    total = sum(part.size for part in negatives)
    if not positives.size or not total:
        raise ValueError(f"expected positives and negatives, found {positives.size} and {total}.")
    values, index = np.unique(positives, return_inverse=True)
    ends = [end for part in [values, *negatives] if part.size for end in (part[0], part[-1])]
    if not np.isfinite(ends).all():
        raise ValueError("expected finite scores, found NaN or infinity.")
    below, through = counts_around(negatives, values)
    above, tied = (total - through)[::-1], (through - below)[::-1]
    return [Ranking(np.bincount(index, weights)[::-1], above, tied, np.asarray(total)) for weights in weightings]


def rank_resampled(scores: Array, labels: Array, counts: Array) -> Ranking:
    """Rank scores ``[N]`` with labels ``[N]`` in D resamples at once, where item n occurs ``counts[d, n]`` times.

    Raises:
        ValueError: only one class is present.
    """
    positive = np.asarray(labels) == 1
    if positive.all() or not positive.any():
        raise ValueError("expected labels 0 and 1, found only one of them.")
    order = np.argsort(scores[~positive], kind="stable")
    negatives = scores[~positive][order]
    below = np.pad(np.cumsum(counts[:, ~positive][:, order], axis=1), ((0, 0), (1, 0)))
    order = np.argsort(scores[positive], kind="stable")
    values, starts = np.unique(scores[positive][order], return_index=True)
    mass = np.add.reduceat(counts[:, positive][:, order], starts, axis=1)
    low = below[:, np.searchsorted(negatives, values, side="left")]
    high = below[:, np.searchsorted(negatives, values, side="right")]
    return Ranking(mass[:, ::-1], (below[:, -1:] - high)[:, ::-1], (high - low)[:, ::-1], below[:, -1])


def rank_histograms(positives: Array, negatives: Array) -> Ranking:
    """Rank from histograms ``[..., bins]`` over ascending scores; a bin counts as one score."""
    negatives = negatives[..., ::-1]
    through = negatives.cumsum(-1)
    return Ranking(positives[..., ::-1], through - negatives, negatives, through[..., -1])
