"""How varied images are, and how new, by distances between their pooled features.

Each layer is averaged over positions and scaled to unit length, so that layers count alike whatever their channels'
scale, and one shot is enough: standardising by the shots' own spread would need several. Where things are is lost.
"""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from variad.feature_files import read_features

Pooled = NDArray[np.float64]
CHUNK = 32


def pooled_features(path: str | Path, rows: Sequence[int] | None = None) -> Pooled:
    """Pooled features of some rows of a feature file (all if None), ``[N, D]``, each of unit length."""
    with h5py.File(path) as file:
        layers = sorted(name for name in file if name != "image_id")
        wanted = list(range(len(file[layers[0]]))) if rows is None else list(rows)
    chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)] or [[]]
    return np.concatenate([_pool(read_features(path, layers, chunk)) for chunk in chunks])


def _pool(maps: dict[str, NDArray[np.float32]]) -> Pooled:
    means = [values.mean(axis=(1, 2), dtype=np.float64) for values in maps.values()]
    units = [mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12) for mean in means]
    joined: Pooled = np.concatenate(units, axis=1) / np.sqrt(len(units))
    return joined


def distances(ours: Pooled, theirs: Pooled) -> Pooled:
    """Euclidean distances ``[N, M]`` between rows, exactly 0 between equal ones."""
    # by differences: the quicker form by dot products leaves 1e-8 between equal rows, and its root is 1e-4
    return np.array([np.linalg.norm(theirs - row, axis=1) for row in ours]).reshape(len(ours), len(theirs))


def nearest(between: Pooled) -> Pooled:
    """Smallest distance of each row, ``[N]``; NaN where there is none (NaN entries are no distances)."""
    filled = np.where(np.isnan(between), np.inf, between)
    smallest = filled.min(axis=1, initial=np.inf)
    return np.where(np.isinf(smallest), np.nan, smallest)


def distance_to_others(features: Pooled, counted: NDArray[np.bool_]) -> Pooled:
    """Mean distance of each row to the counted rows other than itself, ``[N]``; NaN where there are none.

    Its mean over the counted rows is their mean pairwise distance.
    """
    between = distances(features, features[counted])
    # a counted row's own distance is the zero that leaves the sum as it is
    others = counted.sum() - counted.astype(int)
    return np.where(others > 0, between.sum(axis=1) / np.maximum(others, 1), np.nan)


def mean_pairwise_distance(features: Pooled) -> float:
    """Mean distance over all pairs of rows; NaN for fewer than two."""
    each = distance_to_others(features, np.ones(len(features), bool))
    return float(each.mean()) if len(features) else float("nan")


def novelty_of_unseen(features: Pooled, shots: Sequence[int]) -> float:
    """Mean over rows of the distance to the nearest of the rows ``shots`` other than itself; NaN if there is none."""
    between = distances(features, features[list(shots)])
    between[list(shots), range(len(shots))] = np.nan
    found = nearest(between)
    return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")
