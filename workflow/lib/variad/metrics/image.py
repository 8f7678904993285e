"""Image metrics of anomaly scores, exact with ties; the values are those of scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from variad.metrics.ranking import Ranking, rank


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve, 0 to 1, of scores ``[N]`` with labels ``[N]`` (0 normal, 1 anomalous).

    Raises:
        ValueError: only one class is present, a score is not finite, or the lengths differ. So for all of this file.
    """
    return float(_rank(scores, labels).auroc())


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision, 0 to 1, of scores ``[N]`` with labels ``[N]``."""
    return float(_rank(scores, labels).average_precision())


def f1_max(scores: ArrayLike, labels: ArrayLike) -> float:
    """Highest F1 over all thresholds, 0 to 1, of scores ``[N]`` with labels ``[N]``."""
    return float(_rank(scores, labels).f1_max())


IMAGE_METRICS: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "image_auroc": auroc,
    "image_ap": average_precision,
    "image_f1_max": f1_max,
}


def _rank(scores: ArrayLike, labels: ArrayLike) -> Ranking:
    values: NDArray[Any] = np.asarray(scores, dtype=np.float64)
    classes: NDArray[Any] = np.asarray(labels)
    if values.ndim != 1 or values.shape != classes.shape:
        raise ValueError(f"expected as many scores as labels, found shapes {values.shape} and {classes.shape}.")
    if not np.isin(classes, (0, 1)).all():
        raise ValueError("expected labels 0 and 1, found another value.")
    return rank(values[classes == 1], np.sort(values[classes == 0]))
