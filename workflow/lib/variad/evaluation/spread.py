"""How varied images are, and how new, by distances between their pooled features; the tables of image quality.

Each layer is averaged over positions and scaled to unit length, so that layers count alike whatever their channels'
scale, and one shot is enough: standardising by the shots' own spread would need several. Where things are is lost.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.images import FeatureMaps
from variad.core.records import NAMES, read_features

Pooled = NDArray[np.float64]
Array = NDArray[Any]

CHUNK = 32
DECIMALS = 5  # fixed, so that equal results are equal files; float32 gives no more
QUALITIES = ("ssim", "psnr", "vif", "lpips", "diversity", "novelty")
KEY = ["dataset", "category", "scenario", "training_set"]


def pooled_features(path: str | Path, rows: Sequence[int] | None = None) -> Pooled:
    """Pooled features of some rows of a feature file (all if None), ``[N, D]``, each of unit length."""
    with h5py.File(path) as file:
        layers = sorted(name for name in file if name not in NAMES)
        wanted = list(range(len(file[layers[0]]))) if rows is None else list(rows)
    return pooled(lambda some: read_features(path, layers, some), wanted)


def pooled(features_of: Callable[[Sequence[int]], FeatureMaps], rows: Sequence[int]) -> Pooled:
    """Pooled features of some images, ``[N, D]``, each of unit length; ``features_of`` gives those of a few rows."""
    parts = []
    for start in range(0, max(1, len(rows)), CHUNK):
        maps = features_of(rows[start : start + CHUNK])
        means = [maps[layer].mean(axis=(1, 2), dtype=np.float64) for layer in sorted(maps)]
        units = [mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12) for mean in means]
        parts.append(np.concatenate(units, axis=1) / np.sqrt(len(units)))
    return np.concatenate(parts)


def distances(ours: Pooled, theirs: Pooled) -> Pooled:
    """Euclidean distances ``[N, M]`` between rows, exactly 0 between equal ones."""
    # by differences: the quicker form by dot products leaves 1e-8 between equal rows, and its root is 1e-4
    return np.array([np.linalg.norm(theirs - row, axis=1) for row in ours]).reshape(len(ours), len(theirs))


def nearest(between: Pooled) -> Pooled:
    """Smallest distance of each row, ``[N]``; NaN where there is none (NaN entries are no distances)."""
    filled = np.where(np.isnan(between), np.inf, between)
    smallest = filled.min(axis=1, initial=np.inf)
    return np.where(np.isinf(smallest), np.nan, smallest)


def nearest_other(features: Pooled, rows: Sequence[int]) -> Pooled:
    """Distance of each row to the nearest of some ``rows`` other than itself, ``[N]``; NaN where there is none."""
    between = distances(features, features[list(rows)])
    between[list(rows), range(len(rows))] = np.nan
    return nearest(between)


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
    found = nearest_other(features, shots)
    return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")


def image_quality_table(
    images: Mapping[str, Any], compared: Mapping[str, Array], added: Pooled, shots: Mapping[int, Pooled]
) -> pd.DataFrame:
    """One row an added image, schema ``image_quality``.

    Args:
        images: ``run``, ``parent`` (image_id) and ``accepted`` of M images.
        compared: qualities against the parents, ``[M]`` by name.
        added: pooled features of the M images.
        shots: pooled features of every run's shots.
    """
    table = pd.DataFrame({**{name: images[name] for name in ("run", "parent", "accepted")}, **compared})
    table.insert(1, "index", range(len(table)))
    run, accepted = (np.asarray(images[name]) for name in ("run", "accepted"))
    diversity, novelty = np.full(len(run), np.nan), np.full(len(run), np.nan)
    for number in np.unique(run):
        rows = np.flatnonzero(run == number)
        diversity[rows] = distance_to_others(added[rows], accepted[rows])
        novelty[rows] = nearest(distances(added[rows], shots[int(number)]))
    return table.assign(diversity=diversity, novelty=novelty).round(DECIMALS)


def real_spread_table(features: Pooled, shots: Mapping[str, Mapping[int, Sequence[int]]]) -> pd.DataFrame:
    """What real training images give, as a scale for added ones, schema ``real_spread``.

    Args:
        features: pooled features of every real training image.
        shots: by scenario and run, which of them are shots.
    """
    diversity = mean_pairwise_distance(features)
    rows = [
        {"scenario": scenario, "run": run, "diversity": diversity, "novelty": novelty_of_unseen(features, chosen)}
        for scenario, runs in shots.items()
        for run, chosen in runs.items()
    ]
    return pd.DataFrame(rows, columns=["scenario", "run", "diversity", "novelty"]).round(DECIMALS)


def summarise_quality(
    keys: Sequence[Mapping[str, str]], tables: Sequence[pd.DataFrame], real: Mapping[tuple[str, str], pd.DataFrame]
) -> pd.DataFrame:
    """One row a training set, schema ``image_quality_summary``: mean and standard deviation over runs.

    Only accepted images count. Infinite PSNR (an image equal to its parent) is left out of the mean; ``identical`` is
    the share of such images.

    Args:
        keys: values of ``KEY`` for each table.
        tables: schema ``image_quality``.
        real: schema ``real_spread``, by data set and category.
    """
    rows: list[dict[str, Any]] = []
    for key, table in zip(keys, tables, strict=True):
        spread = real[key["dataset"], key["category"]]
        here = spread[spread["scenario"] == key["scenario"]]
        accepted = table[table["accepted"]]
        runs = accepted.assign(psnr=accepted["psnr"].replace(np.inf, np.nan)).groupby("run")[list(QUALITIES)].mean()
        identical = np.isinf(accepted["psnr"]).mean() if len(accepted) else np.nan
        rows.append({**key, "runs": len(runs), "images": len(accepted), "identical": identical})
        rows[-1] |= {f"{name}_mean": runs[name].mean() for name in QUALITIES}
        rows[-1] |= {f"{name}_std": runs[name].std(ddof=1) for name in QUALITIES}
        rows[-1] |= {f"real_{name}": here[name].mean() for name in ("diversity", "novelty")}
    columns = [f"{name}_{of}" for name in QUALITIES for of in ("mean", "std")]
    columns = [*KEY, "runs", "images", "identical", *columns, "real_diversity", "real_novelty"]
    return pd.DataFrame(rows, columns=columns).round(DECIMALS)
