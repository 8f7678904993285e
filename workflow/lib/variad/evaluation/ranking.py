"""Exact metrics of scores, ties included, from counts of negatives around each distinct positive score.

Recall changes only where a positive lies, so these few counts give AUROC, average precision, F1-max and the overlap
curve as the full curves do; image metrics have the values of scikit-learn. Negatives come in many ascending arrays that
are counted in as if they were one, without joining them: the values are gone through in pieces, each a range of values
that is gathered from all parts and sorted. Pieces fit the processor's cache, so this is faster than sorting everything
at once, and memory stays that of the parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

PIECE = 1 << 20  # values, about
_SAMPLES = 64  # values of a piece that choose its bounds


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


METRICS = {"auroc": Ranking.auroc, "ap": Ranking.average_precision, "f1_max": Ranking.f1_max}  # by the ends of names


def image_metrics(scores: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """``image_auroc, image_ap, image_f1_max``, 0 to 1, of scores ``[N]`` with labels ``[N]`` (0 normal, 1 anomalous).

    Raises:
        ValueError: only one class is present, a score is not finite, or the lengths differ.
    """
    ranking = _rank(scores, labels)
    return {f"image_{name}": float(metric(ranking)) for name, metric in METRICS.items()}


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve alone, of the same and with the same errors."""
    return float(_rank(scores, labels).auroc())


def _rank(scores: ArrayLike, labels: ArrayLike) -> Ranking:
    values: NDArray[Any] = np.asarray(scores, dtype=np.float64)
    classes: NDArray[Any] = np.asarray(labels)
    if values.ndim != 1 or values.shape != classes.shape:
        raise ValueError(f"expected as many scores as labels, found shapes {values.shape} and {classes.shape}.")
    if not np.isin(classes, (0, 1)).all():
        raise ValueError("expected labels 0 and 1, found another value.")
    (ranking,) = rank_parts(values[classes == 1], [np.sort(values[classes == 0])], [None])
    return ranking


def rank_parts(positives: Array, negatives: Sequence[Array], weightings: Sequence[Array | None]) -> list[Ranking]:
    """Rank positives ``[P]`` against negatives in many ascending arrays, once for each weighting of the positives.

    Args:
        weightings: weights of the positives, ``[P]``; None counts each as one.

    Raises:
        ValueError: one class is empty, or a score is not finite.
    """
    total = sum(part.size for part in negatives)
    if not positives.size or not total:
        raise ValueError(f"expected positives and negatives, found {positives.size} and {total}.")
    values, index = np.unique(positives, return_inverse=True)
    # sorting puts what is not finite at the ends, so the ends speak for all
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


def overlap_areas(defects: Ranking, limits: Sequence[float]) -> dict[float, float]:
    """Area under the mean overlap with defects up to each limit of the false positive rate, divided by it: 0 to 1.

    Args:
        defects: a ranking whose positives weigh what they add to the overlap; its curve is exact.

    Raises:
        ValueError: a limit is not above 0 and up to 1.
    """
    steps = np.cumsum(defects.positives)
    steps /= steps[-1]
    before = np.concatenate([[0.0], steps[:-1]])
    # Two points a score: before its pixels count, and after. Between scores the curve is level.
    rate = np.stack([defects.above, defects.above + defects.tied], axis=1).ravel() / defects.negatives
    rate = np.concatenate([[0.0], rate, [1.0]])
    overlap = np.concatenate([[0.0], np.stack([before, steps], axis=1).ravel(), [1.0]])
    areas = {}
    for limit in limits:
        if not 0 < limit <= 1:
            raise ValueError(f"expected a limit of the false positive rate above 0 and up to 1, found {limit}.")
        inside = int(np.searchsorted(rate, limit, side="right"))
        x, y = rate[:inside], overlap[:inside]
        if inside < rate.size:
            end = np.interp(limit, rate[inside - 1 : inside + 1], overlap[inside - 1 : inside + 1])
            x, y = np.append(x, limit), np.append(y, end)
        # Rounding may carry a perfect map past one.
        areas[limit] = min(1.0, float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / limit))
    return areas


def pieces(parts: Sequence[Array], size: int = PIECE) -> Iterator[tuple[float, float, Array]]:
    """The values of ascending, finite ``parts`` in ascending pieces of about ``size`` values.

    Yields:
        Two bounds, the first and last open to their side, and all values from the lower on and below the upper.
    """
    step = max(1, size // _SAMPLES)
    sample = np.sort(np.concatenate([part[step // 2 :: step] for part in parts]))
    bounds = np.unique(sample[_SAMPLES::_SAMPLES])
    cuts = [np.concatenate([[0], np.searchsorted(part, bounds), [part.size]]) for part in parts]
    edges = [-np.inf, *bounds.tolist(), np.inf]
    for index in range(len(edges) - 1):
        values = np.concatenate([part[cut[index] : cut[index + 1]] for part, cut in zip(parts, cuts, strict=True)])
        values.sort()
        yield edges[index], edges[index + 1], values


def counts_around(
    parts: Sequence[Array], values: Array, size: int = PIECE
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many entries of ``parts`` are below, and how many at or below, each of ascending ``values [K]``."""
    below, through = np.zeros((2, values.size), np.int64)
    seen = 0
    for low, high, piece in pieces(parts, size):
        # bounds of the values' own type, or all values would be converted to another.
        inside = slice(*np.searchsorted(values, np.array([low, high], values.dtype)))
        below[inside] = seen + np.searchsorted(piece, values[inside], side="left")
        through[inside] = seen + np.searchsorted(piece, values[inside], side="right")
        seen += piece.size
    return below, through


def at_ranks(parts: Sequence[Array], ranks: Array, size: int = PIECE) -> Array:
    """The values at ascending ``ranks [K]`` of all entries of ``parts`` in ascending order, 0 is the smallest."""
    found, seen = [], 0
    for _, _, piece in pieces(parts, size):
        here = ranks[(ranks >= seen) & (ranks < seen + piece.size)]
        found.append(piece[here - seen])
        seen += piece.size
    return np.concatenate(found)


def fewest_mistakes(scores: ArrayLike, labels: ArrayLike) -> float:
    """The lowest threshold that makes the fewest mistakes among N images: one of the scores, or just below all of them.

    What is above it is called anomalous. It has seen the labels, so it is not a fair one.

    Args:
        scores: ``[N]``, at least one; labels: ``[N]``, 0 normal, 1 anomalous.
    """
    given, anomalous = np.asarray(scores, np.float64), np.asarray(labels, bool)
    values = np.unique(given)
    values = np.concatenate([[np.nextafter(values[0], -np.inf)], values])
    misses = np.searchsorted(np.sort(given[anomalous]), values, "right")
    alarms = (~anomalous).sum() - np.searchsorted(np.sort(given[~anomalous]), values, "right")
    return float(values[np.argmin(misses + alarms)])
