"""Real AUROC of a candidate, by benchmark: what is counted as anomalous, and how classes are averaged."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variad.metrics.ranking import rank_resampled

Array = NDArray[Any]

GOOD = "good"


def benchmark_auroc(
    benchmark: str, scores: Array, defects: Array, counts: Array, closest: str = ""
) -> NDArray[np.float64]:
    """AUROC of scores ``[I]`` in D resamples, ``[D]``; NaN where a resample lacks one side.

    - ``defects`` and ``one_vs_rest``: all anomalies together against the normal images.
    - ``one_vs_one``: mean over the other classes (or defects) of the AUROC against each.
    - ``one_vs_closest``: against one of them.

    Args:
        defects: what each image shows, ``[I]``; ``good`` is normal.
        counts: how often each image occurs, ``[D, I]``; a row of ones gives the plain value.
        closest: the class of ``one_vs_closest``.
    """
    names = [closest] if benchmark == "one_vs_closest" else sorted(set(defects.tolist()) - {GOOD})
    if benchmark in ("defects", "one_vs_rest"):
        return _auroc(scores, defects != GOOD, counts)
    by_class = np.stack([_against(name, scores, defects, counts) for name in names])
    known = np.isfinite(by_class)
    total = np.where(known, by_class, 0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))


def closest_class(scores: Sequence[Mapping[str, Array]], defects: Array) -> str:
    """The class that is hardest to tell from the normal one: the lowest AUROC, averaged over all candidates and runs.

    Mirzaei et al. (2023) take the hardest class of the detector that they judge. Here every candidate has the same
    one, or candidates would be ranked on different tasks. Equal classes: the first by name.

    Args:
        scores: of every run, by candidate, ``[I]``.
        defects: as in ``benchmark_auroc``.
    """
    once = np.ones((1, len(defects)))
    names = sorted(set(defects.tolist()) - {GOOD})
    means = [
        np.mean([_against(name, values, defects, once) for run in scores for values in run.values()]) for name in names
    ]
    return names[int(np.argmin(means))]


def resample_counts(defects: Array, generator: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """How often each image occurs in bootstrap draws, ``[D, I]``; every class keeps its number of images."""
    counts = np.zeros((draws, len(defects)))
    for members in _members(defects):
        counts[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), size=draws)
    return counts


def half_counts(defects: Array, generator: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """Random halves of the images, ``[D, I]`` of 0 and 1; every class is halved (an odd one is left over by turns)."""
    counts = np.zeros((draws, len(defects)))
    for members in _members(defects):
        for draw in range(draws):
            order = generator.permutation(members)
            counts[draw, order[: (len(members) + draw % 2) // 2]] = 1
    return counts


def _members(defects: Array) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(defects == name) for name in sorted(set(defects.tolist()))]


def _against(name: str, scores: Array, defects: Array, counts: Array) -> NDArray[np.float64]:
    chosen = (defects == name) | (defects == GOOD)
    return _auroc(scores[chosen], defects[chosen] == name, counts[:, chosen])


def _auroc(scores: Array, labels: Array, counts: Array) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rank_resampled(scores, labels.astype(np.int64), counts).auroc())
