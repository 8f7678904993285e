"""From cells to rows of the summary: mean, standard deviation, paired gain over ``original``, averages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.cells import Cell, check_paired, metric_draws
from variad.metrics.bootstrap import DRAWS, interval
from variad.metrics.cell import CELL_KEY
from variad.published import published_mean

Array = NDArray[Any]

BASELINE = "original"
SCENARIOS = ("one_shot", "few_shot", "full_shot")
ROW_KEY = [*CELL_KEY, "metric"]
DECIMALS = 4  # fixed, so that equal results are equal files


@dataclass(frozen=True)
class Row:
    """One line of the summary before it is rounded; values and gains are fractions, not percent.

    Attributes:
        runs: the numbers of R runs.
        values: the metric in each run, ``[R]``.
        gain: mean over runs less that of the baseline; NaN where there is none, as for the baseline itself.
        gain_draws: the gain in each draw of the bootstrap, ``[D]``; empty where there is no interval.
    """

    dataset: str
    category: str
    detector: str
    scenario: str
    training_set: str
    metric: str
    runs: tuple[int, ...]
    values: Array
    gain: float
    gain_draws: Array

    def mean(self, runs: Iterable[int]) -> float:
        """Of the values in some of its runs."""
        return float(self.values[np.isin(self.runs, list(runs))].mean())

    @property
    def key(self) -> dict[str, str]:
        """The values of ``ROW_KEY``."""
        return {name: getattr(self, name) for name in ROW_KEY}


def category_rows(cells: Sequence[Cell], seed: int, draws: int = DRAWS) -> list[Row]:
    """Rows of the cells of one category, by detector and scenario, in the order of the cells.

    Raises:
        UserError: a cell and its baseline differ in runs or in test images.
    """
    rows = []
    for detector in dict.fromkeys(cell.detector for cell in cells):
        for scenario in SCENARIOS:
            group = [cell for cell in cells if cell.detector == detector and cell.scenario == scenario]
            rows += _compared_rows(group, seed, draws)
    return rows


def average_rows(rows: Sequence[Row], groups: Mapping[str, Mapping[str, str]] | None = None) -> list[Row]:
    """Averages over all categories of each data set, and over each of its groups of them, where there is more than one.

    A row is left out unless every category has it, in one run at least that all have, so that averages stay comparable
    across training sets. Where categories have other runs besides, mean and gain are of those that all have, and the
    gain has no interval: the draws are of all runs.

    Args:
        groups: for a data set, the group (say ``object``) of each category; gives ``average_object`` and so on.
    """
    averages = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        members = [row for row in rows if row.dataset == dataset]
        categories = list(dict.fromkeys(row.category for row in members))
        if len(categories) > 1:
            averages += _average(members, categories, "average")
        group_of = (groups or {}).get(dataset, {})
        for name in dict.fromkeys(group_of[category] for category in categories if category in group_of):
            group = [category for category in categories if group_of.get(category) == name]
            if len(group) > 1:
                averages += _average(members, group, f"average_{name}")
    return averages


def summarise(rows: Sequence[Row], published: pd.DataFrame) -> pd.DataFrame:
    """The table of schema ``summary``, in percent and percentage points.

    Args:
        published: schema ``published_auroc``; its values stand beside the rows that they belong to.
    """
    categories: dict[str, set[str]] = {}
    for row in rows:
        categories.setdefault(row.dataset, set()).add(row.category)
    table = [
        {**row.key, **_percent(row), "published_mean": published_mean(published, row.key, categories[row.dataset])}
        for row in rows
    ]
    columns = [*ROW_KEY, "mean", "std", "runs", "gain", "gain_low", "gain_high", "published_mean"]
    return pd.DataFrame(table, columns=columns)


def _compared_rows(cells: Sequence[Cell], seed: int, draws: int) -> list[Row]:
    baseline = next((cell for cell in cells if cell.training_set == BASELINE), None)
    if baseline is None:
        return [row for cell in cells for row in _plain_rows(cell)]
    before = {row.metric: row for row in _plain_rows(baseline)}
    drawn_before = metric_draws(baseline, seed, draws) if len(cells) > 1 else {}
    rows: list[Row] = []
    for cell in cells:
        if cell is baseline:
            rows += before.values()
            continue
        check_paired(cell, baseline)
        drawn = metric_draws(cell, seed, draws)
        gains = {metric: drawn[metric] - drawn_before[metric] for metric in drawn}
        rows += [_with_gain(row, before[row.metric], gains.get(row.metric, np.zeros(0))) for row in _plain_rows(cell)]
    return rows


def _plain_rows(cell: Cell) -> list[Row]:
    rows = []
    for metric, table in cell.metrics.groupby("metric", sort=False):
        table = table.sort_values("run")
        runs = tuple(int(run) for run in table["run"])
        values = table["value"].to_numpy()
        rows.append(Row(**cell.key, metric=str(metric), runs=runs, values=values, gain=np.nan, gain_draws=np.zeros(0)))
    return rows


def _with_gain(row: Row, before: Row, draws: Array) -> Row:
    return replace(row, gain=row.mean(row.runs) - before.mean(before.runs), gain_draws=draws)


def _average(rows: Sequence[Row], categories: Sequence[str], name: str) -> list[Row]:
    together: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.category in categories:
            together.setdefault((row.detector, row.scenario, row.training_set, row.metric), []).append(row)
    averages = []
    for (detector, scenario, training_set, metric), members in together.items():
        runs = set.intersection(*(set(row.runs) for row in members))
        if len(members) == len(categories) and runs:
            before = [] if training_set == BASELINE else together.get((detector, scenario, BASELINE, metric), [])
            averages.append(_mean_row(members, before, sorted(runs), name))
    return averages


def _mean_row(rows: Sequence[Row], before: Sequence[Row], runs: Sequence[int], name: str) -> Row:
    """The mean of rows over ``runs``, which all have; ``before`` are those of the baseline, if there are any."""
    values = np.mean([row.values[np.isin(row.runs, runs)] for row in rows], axis=0)
    gain = np.nan
    if len(before) == len(rows):
        gain = float(np.mean([row.mean(runs) - other.mean(runs) for row, other in zip(rows, before, strict=True)]))
    drawn = all(row.gain_draws.size and len(row.runs) == len(runs) for row in rows)
    draws = np.mean([row.gain_draws for row in rows], axis=0) if drawn else np.zeros(0)
    return replace(rows[0], category=name, runs=tuple(runs), values=values, gain=gain, gain_draws=draws)


def _percent(row: Row) -> dict[str, float]:
    low, high = interval(row.gain_draws) if row.gain_draws.size else (np.nan, np.nan)
    std = row.values.std(ddof=1) if row.values.size > 1 else np.nan
    fractions = {"mean": row.values.mean(), "std": std, "gain": row.gain, "gain_low": low, "gain_high": high}
    # Adding zero turns -0.0 into 0.0.
    percent = {name: round(100 * float(value), DECIMALS) + 0.0 for name, value in fractions.items()}
    return {**percent, "runs": len(row.runs)}
