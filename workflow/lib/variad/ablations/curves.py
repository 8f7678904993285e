"""Figures 15 and 18: AUROC of every run against the number of guided iterations, or of added images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from variad.ablations.entries import BASELINE
from variad.ablations.values import DECIMALS, percent_by_run
from variad.generation.added import read_usage

METRIC = "image_auroc"
COLUMNS = ["dataset", "category", "detector", "scenario", "series", "training_set", "x", "run", "metric", "value"]

Place = Mapping[str, str]


def iteration_curve(place: Place, iterations: Mapping[str, int], metrics: pd.DataFrame) -> pd.DataFrame:
    """The table of schema ``ablation_curve`` for figure 15.

    Args:
        place: dataset, category, detector and scenario.
        iterations: guided iterations by training set.
        metrics: of all cells, schema ``metrics``.
    """
    rows = _rows(place, BASELINE, BASELINE, np.nan, metrics)
    for training_set, x in sorted(iterations.items(), key=lambda item: item[1]):
        rows += _rows(place, "generated", training_set, x, metrics)
    return pd.DataFrame(rows, columns=COLUMNS)


def count_curves(
    places: Sequence[Place],
    series: Mapping[str, Sequence[str]],
    added: Mapping[tuple[str, str, str], float],
    metrics: pd.DataFrame,
) -> pd.DataFrame:
    """The table of schema ``ablation_curve`` for figure 18: each series from smaller to larger numbers of images.

    Args:
        series: training sets by series, such as generated, real and duplicated.
        added: images that a run adds, by (data set, category, training set).
    """
    rows = []
    for place in places:
        rows += _rows(place, BASELINE, BASELINE, 0, metrics)
        number = {name: added[place["dataset"], place["category"], name] for names in series.values() for name in names}
        for title, names in series.items():
            for name in sorted(names, key=lambda name: number[name]):
                rows += _rows(place, title, name, number[name], metrics)
    return pd.DataFrame(rows, columns=COLUMNS)


def images_a_run(path: str | Path) -> float:
    """How many images of an ``added.h5`` a run trains on, mean over its runs: rejected ones do not count."""
    run, accepted = read_usage(path)
    return float(accepted.sum() / max(1, len(np.unique(run))))


def curve_points(curve: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over runs of each point of some curves, in the order of ``x``."""
    keys = ["dataset", "category", "detector", "series", "x"]
    grouped = curve.groupby(keys, sort=False, dropna=False)["value"]
    points = grouped.agg(mean="mean", std=lambda values: values.std(ddof=1), runs="size").reset_index()
    return points.sort_values("x", kind="stable").reset_index(drop=True)


def _rows(place: Place, series: str, training_set: str, x: float, metrics: pd.DataFrame) -> list[dict[str, Any]]:
    values = percent_by_run(metrics, {**place, "training_set": training_set}, METRIC)
    about = {**place, "series": series, "training_set": training_set, "x": x, "metric": METRIC}
    return [{**about, "run": int(str(run)), "value": round(float(value), DECIMALS)} for run, value in values.items()]
