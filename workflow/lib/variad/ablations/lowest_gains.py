"""Figure 17: the categories where added images help least, for each detector."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from variad.ablations.entries import BASELINE
from variad.ablations.values import DECIMALS, mean_and_std, mean_of_categories, paired_gain, percent_by_run
from variad.published import published_detector


def lowest_gains(
    entry: Mapping[str, Any], categories: Sequence[str], metrics: pd.DataFrame, published: pd.DataFrame
) -> pd.DataFrame:
    """The table of schema ``lowest_gains``: every category with every detector, from the lowest gain on.

    Args:
        entry: ``dataset``, ``detectors``, ``scenarios`` and ``training_set``.
        metrics: of all cells, schema ``metrics``.
        published: schema ``published_auroc``; its values are those of the training set ``generated`` and stand beside
            no other.
    """
    parts = []
    for detector in entry["detectors"]:
        table = pd.DataFrame([_row(entry, detector, category, metrics, published) for category in categories])
        for column in ("gain", "published_gain"):
            table[column.replace("gain", "rank")] = table[column].rank(method="first").astype("Int64")
        parts.append(table.sort_values("rank", kind="stable", na_position="last"))
    return pd.concat(parts, ignore_index=True)


def _row(
    entry: Mapping[str, Any], detector: str, category: str, metrics: pd.DataFrame, published: pd.DataFrame
) -> dict[str, Any]:
    place = {"dataset": entry["dataset"], "category": category, "detector": detector}
    gains = []
    for scenario in entry["scenarios"]:
        values, baseline = (
            percent_by_run(metrics, {**place, "scenario": scenario, "training_set": name})
            for name in (entry["training_set"], BASELINE)
        )
        gains.append(paired_gain(values, baseline))
    over_scenarios = mean_of_categories(gains)
    gain, std = mean_and_std(over_scenarios)
    printed = _published_gain(published, place, entry) if entry["training_set"] == "generated" else np.nan
    return {
        **place,
        "training_set": entry["training_set"],
        "scenarios": len(entry["scenarios"]),
        "gain": round(gain, DECIMALS) + 0.0,
        "gain_std": round(std, DECIMALS),
        "runs": len(over_scenarios),
        "published_gain": round(printed, DECIMALS) + 0.0,
    }


def _published_gain(published: pd.DataFrame, place: Mapping[str, str], entry: Mapping[str, Any]) -> float:
    """Mean over the scenarios of the published values' difference; NaN where one is missing."""
    rows = published[
        (published["dataset"] == place["dataset"])
        & (published["category"] == place["category"])
        & (published["detector"] == published_detector(place["detector"]))
        & (published["metric"] == "image_auroc")
    ]
    table = rows.pivot(index="scenario", columns="source", values="mean_percent").reindex(entry["scenarios"])
    if not {"generated", BASELINE} <= set(table.columns):
        return np.nan
    return float((table["generated"] - table[BASELINE]).mean(skipna=False))
