"""The tables of figures 15, 17 and 18.

Figures 15 and 18: AUROC of every run against the number of guided iterations, or of added images. Figure 17: the
categories where added images help least, for each detector.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from variad.evaluation.aggregation import published_mean
from variad.generation.added import read_usage
from variad.paper.ablation_entries import BASELINE
from variad.paper.ablation_values import (
    DECIMALS,
    baseline_of,
    mean_and_std,
    mean_of_categories,
    paired_gain,
    percent_by_run,
)

METRIC = "image_auroc"
COLUMNS = ["dataset", "category", "detector", "scenario", "series", "training_set", "x", "run", "metric", "value"]

Place = Mapping[str, str]  # dataset, category, detector and scenario


def iteration_curve(place: Place, iterations: Mapping[str, int], metrics: pd.DataFrame) -> pd.DataFrame:
    """The table of schema ``ablation_curve`` for figure 15.

    Args:
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
        metrics: of all cells, schema ``metrics``.
    """
    rows = []
    for place in places:
        rows += _rows(place, BASELINE, BASELINE, 0, metrics)
        for title, names in series.items():
            number = {name: added[place["dataset"], place["category"], name] for name in names}
            for name, x in sorted(number.items(), key=lambda item: item[1]):
                rows += _rows(place, title, name, x, metrics)
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(place: Place, series: str, training_set: str, x: float, metrics: pd.DataFrame) -> list[dict[str, Any]]:
    values = percent_by_run(metrics, {**place, "training_set": training_set}, METRIC)
    about = {**place, "series": series, "training_set": training_set, "x": x, "metric": METRIC}
    return [{**about, "run": int(str(run)), "value": round(float(value), DECIMALS)} for run, value in values.items()]


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


def lowest_gains(
    entry: Mapping[str, Any], categories: Sequence[str], metrics: pd.DataFrame, published: pd.DataFrame
) -> pd.DataFrame:
    """The table of schema ``lowest_gains``: for each detector every category, the lowest gain first.

    Args:
        entry: ``dataset``, ``detectors``, ``scenarios`` and ``training_set``.
        metrics: of all cells, schema ``metrics``.
        published: schema ``published_auroc``; its values are those of the training set ``generated`` and stand beside
            no other.
    """
    parts = []
    for detector in entry["detectors"]:
        table = pd.DataFrame([_gain_row(entry, detector, category, metrics, published) for category in categories])
        for column in ("gain", "published_gain"):
            table[column.replace("gain", "rank")] = table[column].rank(method="first").astype("Int64")
        parts.append(table.sort_values("rank", kind="stable", na_position="last"))
    return pd.concat(parts, ignore_index=True)


def _gain_row(
    entry: Mapping[str, Any], detector: str, category: str, metrics: pd.DataFrame, published: pd.DataFrame
) -> dict[str, Any]:
    """One category with one detector: the gain of each run, and the published one, is its mean over the scenarios."""
    place = {"dataset": entry["dataset"], "category": category, "detector": detector}
    gains, printed = [], []
    for scenario in entry["scenarios"]:
        cell = {**place, "scenario": scenario, "training_set": entry["training_set"]}
        gains.append(paired_gain(percent_by_run(metrics, cell), percent_by_run(metrics, baseline_of(cell))))
        means = [published_mean(published, {**one, "metric": METRIC}, ()) for one in (cell, baseline_of(cell))]
        printed.append(means[0] - means[1])
    over_scenarios = mean_of_categories(gains)
    gain, std = mean_and_std(over_scenarios)
    return {
        **place,
        "training_set": entry["training_set"],
        "scenarios": len(entry["scenarios"]),
        "gain": round(gain, DECIMALS) + 0.0,
        "gain_std": round(std, DECIMALS),
        "runs": len(over_scenarios),
        "published_gain": round(float(np.mean(printed)), DECIMALS) + 0.0,
    }
