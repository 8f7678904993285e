"""The tables of image quality: one row an added image, one row a run for real images, one row a training set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.metrics.feature_spread import (
    Pooled,
    distance_to_others,
    distances,
    mean_pairwise_distance,
    nearest,
    novelty_of_unseen,
)

DECIMALS = 5  # fixed, so that equal results are equal files; float32 gives no more
QUALITIES = ("ssim", "psnr", "vif", "lpips", "diversity", "novelty")
KEY = ["dataset", "category", "scenario", "training_set"]

Array = NDArray[Any]


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
    rows = []
    for key, table in zip(keys, tables, strict=True):
        spread = real[key["dataset"], key["category"]]
        here = spread[spread["scenario"] == key["scenario"]]
        means = {f"real_{name}": here[name].mean() for name in ("diversity", "novelty")}
        rows.append({**key, **_summary(table[table["accepted"]]), **means})
    columns = [f"{name}_{of}" for name in QUALITIES for of in ("mean", "std")]
    columns = [*KEY, "runs", "images", "identical", *columns, "real_diversity", "real_novelty"]
    return pd.DataFrame(rows, columns=columns).round(DECIMALS)


def _summary(table: pd.DataFrame) -> dict[str, float]:
    finite = table.assign(psnr=table["psnr"].replace(np.inf, np.nan))
    runs = finite.groupby("run")[list(QUALITIES)].mean()
    found: dict[str, float] = {"runs": len(runs), "images": len(table)}
    found["identical"] = float(np.isinf(table["psnr"]).mean()) if len(table) else np.nan
    for name in QUALITIES:
        found[f"{name}_mean"], found[f"{name}_std"] = float(runs[name].mean()), float(runs[name].std(ddof=1))
    return found
