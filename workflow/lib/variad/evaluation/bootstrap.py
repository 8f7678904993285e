"""Paired bootstrap of metrics over test images and runs.

Each draw picks test images (as many normal and as many anomalous ones as there are) and runs, both with replacement.
Training sets that share a resample are paired: their metrics can be subtracted draw by draw.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variad.evaluation.ranking import METRICS, rank_histograms, rank_resampled

Array = NDArray[Any]

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Resample:
    """What D draws picked.

    Attributes:
        images: ``[D, I]`` how often each image was picked.
        runs: ``[D, R]`` share of each run; a draw's shares add up to 1.
    """

    images: NDArray[np.float64]
    runs: NDArray[np.float64]

    def mean_over_runs(self, values: Array) -> NDArray[np.float64]:
        """Mean of a metric ``[R, D]`` over the runs that each draw picked, ``[D]``."""
        return np.asarray((values.T * self.runs).sum(axis=1))


def resample(labels: Array, runs: int, generator: np.random.Generator, draws: int = DRAWS) -> Resample:
    """Draw test images within each label of ``labels [I]``, and runs.

    Raises:
        ValueError: only one class is present.
    """
    images = np.zeros((draws, len(labels)))
    for label in (0, 1):
        members = np.flatnonzero(np.asarray(labels) == label)
        if not members.size:
            raise ValueError(f"expected images with label {label}, found none.")
        images[:, members] = generator.multinomial(members.size, np.full(members.size, 1 / members.size), size=draws)
    return Resample(images, generator.multinomial(runs, np.full(runs, 1 / runs), size=draws) / runs)


def image_metric_draws(scores: Array, labels: Array, drawn: Resample) -> dict[str, NDArray[np.float64]]:
    """Image metrics, mean over runs, of scores ``[R, I]`` in each draw, ``[D]``, by the name of the metric."""
    rankings = [rank_resampled(run, labels, drawn.images) for run in scores]
    return {
        f"image_{name}": drawn.mean_over_runs(np.stack([metric(ranking) for ranking in rankings]))
        for name, metric in METRICS.items()
    }


def pixel_auroc_draws(histograms: list[tuple[Array, Array]], drawn: Resample) -> NDArray[np.float64]:
    """Pixel AUROC, mean over runs, in each draw, ``[D]``.

    Args:
        histograms: positives and negatives ``[I, bins]`` of each run. With 1,024 quantiles as bins the value is within
            0.05 points of the exact one for usual masks, since only pixels of one bin count as tied.
    """
    rankings = [rank_histograms(drawn.images @ inside, drawn.images @ outside) for inside, outside in histograms]
    return drawn.mean_over_runs(np.stack([ranking.auroc() for ranking in rankings]))


def interval(draws: Array, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of draws ``[D]``; NaN where there are none."""
    if not draws.size:
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
