"""What was measured in cells, run by run, and its mean, spread and paired gain."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from variad.ablations.entries import BASELINE
from variad.tables import read_table

CELL = ["dataset", "category", "detector", "scenario", "training_set"]
DECIMALS = 4  # fixed, so that equal results are equal files

Runs: TypeAlias = "pd.Series[float]"


def read_metrics(paths: Iterable[str | Path]) -> pd.DataFrame:
    """The tables ``metrics`` of several cells under each other."""
    tables = [read_table(path, "metrics") for path in paths]
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True)


def percent_by_run(metrics: pd.DataFrame, cell: Mapping[str, str], metric: str = "image_auroc") -> Runs:
    """A metric of one cell in percent, indexed by run; empty where the cell has none.

    Args:
        cell: the values of ``CELL``.
    """
    chosen = metrics["metric"] == metric
    for name in CELL:
        chosen &= metrics[name] == cell[name]
    rows = metrics[chosen].set_index("run").sort_index()
    return 100 * rows["value"].astype(float)


def mean_of_categories(parts: Iterable[Runs]) -> Runs:
    """Mean over categories (at least one) in each run that all of them have; empty where one has none."""
    return pd.concat(list(parts), axis=1, join="inner").mean(axis=1)


def mean_and_std(values: Runs) -> tuple[float, float]:
    """Mean and standard deviation (n − 1) over runs; NaN where there are too few."""
    mean = float(values.mean()) if len(values) else np.nan
    return mean, float(values.std(ddof=1)) if len(values) > 1 else np.nan


def paired_gain(values: Runs, baseline: Runs) -> Runs:
    """Differences from the baseline in the runs that both have."""
    both = values.index.intersection(baseline.index)
    return values.loc[both] - baseline.loc[both]


def measured(values: Runs, baseline: "Runs | None") -> dict[str, Any]:
    """Our columns of schema ``ablation_table``; ``baseline`` is None where a gain has no meaning."""
    mean, std = mean_and_std(values)
    gain, gain_std = (np.nan, np.nan) if baseline is None else mean_and_std(paired_gain(values, baseline))
    found = {"ours_mean": mean, "ours_std": std, "ours_gain": gain, "ours_gain_std": gain_std}
    return {**{name: round(value, DECIMALS) + 0.0 for name, value in found.items()}, "runs": len(values)}


def baseline_of(cell: Mapping[str, str]) -> dict[str, str]:
    """The same cell with the shots alone."""
    return {**cell, "training_set": BASELINE}
