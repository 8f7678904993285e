"""What the recipe that every source chooses is worth on real data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.seeding import numpy_generator
from variad.core.tables import markdown_page, markdown_table
from variad.evaluation.aggregation import DECIMALS
from variad.evaluation.bootstrap import DRAWS, Resample, interval, resample
from variad.evaluation.ranking import auroc, rank_resampled
from variad.selection.judgement import kendall_tau, worth
from variad.selection.records import with_interval
from variad.selection.settings import DEFAULT, RANDOM

Array = NDArray[Any]
RECIPE_KEY = ["dataset", "category", "detector", "scenario", "source"]
MEANS = ["selected", "default", "oracle", "average", "regret", "gain"]
COLUMNS = [*RECIPE_KEY, "runs", "recipes", "chosen", *MEANS, "gain_low", "gain_high", "best_picked", "tau"]
LEGEND = (
    "Every source of synthetic anomalies chooses, in each run, the training set whose detector tells its anomalies "
    "from validation normals best; shots of the run, and anomalies made of them, are left out. Real image AUROC in "
    "percent, mean over runs: of the choice (`selected`), of the default recipe `{default}`, of the best recipe of "
    "each run (`oracle`) and of all recipes (`average`). `regret` is the oracle less the choice, `gain` the choice "
    "less the default [95 % paired bootstrap interval], both in points; `best` is how often the best recipe was "
    "picked, τ Kendall's τ-b between synthetic and real AUROC over recipes. Rows `default` and `random` use no "
    "anomalies."
)
HEADS = ("source", "chosen (runs)", "selected", "default", "oracle", "average", "regret", "gain", "best", "τ")


@dataclass(frozen=True)
class RealResults:
    """Real AUROC of K training sets in R runs.

    Attributes:
        values: ``[R, K]``; draws: ``[R, K, D]``, paired over training sets.
        drawn: what the draws picked.
    """

    training_sets: Sequence[str]
    values: Array
    draws: Array
    drawn: Resample


@dataclass(frozen=True)
class RecipeRow:
    """One source on one cell: fractions by name, and the gain over the default in every draw, ``[D]``."""

    source: str
    runs: int
    recipes: int
    chosen: str
    numbers: Mapping[str, float]
    gain_draws: Array


def real_results(
    scores: Mapping[str, pd.DataFrame], runs: Sequence[int], seed: int, key: tuple[str, ...], draws: int = DRAWS
) -> RealResults:
    """AUROC of every training set in ``runs``, with draws of runs and test images that all of them share.

    Args:
        scores: schema ``scores``, by training set.
        key: data set, category, detector and scenario, for random numbers.
    """
    wide = [table.pivot(index="run", columns=["image_id", "label"], values="score") for table in scores.values()]
    matrices = [table.sort_index(axis=1).loc[list(runs)] for table in wide]
    labels = matrices[0].columns.get_level_values("label").to_numpy()
    drawn = resample(labels, len(runs), numpy_generator(seed, "bootstrap", "recipes", *key), draws)
    values = np.array([[auroc(run, labels) for run in matrix.to_numpy()] for matrix in matrices]).T
    ranked = [[rank_resampled(run, labels, drawn.images).auroc() for run in matrix.to_numpy()] for matrix in matrices]
    return RealResults(list(scores), values, np.array(ranked).transpose(1, 0, 2), drawn)


def judge_sources(
    aurocs: pd.DataFrame, choices: pd.DataFrame, real: RealResults, runs: Sequence[int], default: str
) -> list[RecipeRow]:
    """A row for every source, then for the default recipe and for a random one.

    Args:
        aurocs, choices: schemas ``recipe_auroc`` and ``recipe_choices``, of one detector and scenario.
        runs: those of ``real``, in its order.
    """
    names = list(real.training_sets)
    fixed = np.tile(np.array([name == default for name in names], float), (len(runs), 1))
    rows = []
    for source in dict.fromkeys(aurocs["source"]):
        chosen = choices[choices["source"] == source]
        weights = _wide(chosen, "weight", runs, names).fillna(0.0).to_numpy()
        synthetic = _wide(aurocs[aurocs["source"] == source], "synthetic_auroc", runs, names).to_numpy()
        taus = kendall_tau(synthetic, real.values)
        tau = float(np.nanmean(taus)) if np.isfinite(taus).any() else np.nan
        rows.append(_row(str(source), weights, fixed, real, tau))
    rows.append(_row(DEFAULT, fixed, fixed, real, np.nan))
    rows.append(_row(RANDOM, np.full(fixed.shape, 1 / len(names)), fixed, real, np.nan))
    return rows


def recipe_table(cells: Mapping[tuple[str, str, str, str], Sequence[RecipeRow]]) -> pd.DataFrame:
    """The table of schema ``recipes``, in percent and points, with averages over the categories of a data set.

    Args:
        cells: rows by data set, category, detector and scenario.
    """
    table = [_line(place, row) for place, rows in cells.items() for row in rows]
    for dataset in dict.fromkeys(place[0] for place in cells):
        members = {place: rows for place, rows in cells.items() if place[0] == dataset}
        categories = {place[1] for place in members}
        for detector, scenario in dict.fromkeys(place[2:] for place in members):
            groups = [rows for place, rows in members.items() if place[2:] == (detector, scenario)]
            if len(categories) > 1 and len(groups) == len(categories):
                place = (dataset, "average", detector, scenario)
                table += [_line(place, _mean(rows)) for rows in zip(*groups, strict=True)]
    return pd.DataFrame(table, columns=COLUMNS)


def _wide(table: pd.DataFrame, value: str, runs: Sequence[int], names: Sequence[str]) -> pd.DataFrame:
    return table.pivot(index="run", columns="training_set", values=value).reindex(index=list(runs), columns=list(names))


def _row(source: str, weights: Array, fixed: Array, real: RealResults, tau: float) -> RecipeRow:
    numbers = worth(real.values, weights)
    runs, recipes = int(numbers.pop("runs")), int(numbers.pop("candidates"))
    default = (real.values * fixed).sum(axis=1)
    gain = (real.values * weights).sum(axis=1) - default
    numbers |= {"default": default.mean(), "gain": gain.mean(), "tau": tau}
    gain_draws = real.drawn.mean_over_runs(((weights - fixed)[..., None] * real.draws).sum(axis=1))
    return RecipeRow(source, runs, recipes, _names(weights, real.training_sets), numbers, gain_draws)


def _names(weights: Array, names: Sequence[str]) -> str:
    """How often each was chosen, the most frequent first: ``original 2, generated 0.5``."""
    times = weights.sum(axis=0)
    order = sorted(np.flatnonzero(times > 0).tolist(), key=lambda place: -times[place])
    return ", ".join(f"{names[place]} {round(float(times[place]), 2):g}" for place in order)


def _mean(rows: Sequence[RecipeRow]) -> RecipeRow:
    numbers = {name: float(np.mean([row.numbers[name] for row in rows])) for name in rows[0].numbers}
    draws = np.mean([row.gain_draws for row in rows], axis=0)
    return RecipeRow(rows[0].source, min(row.runs for row in rows), rows[0].recipes, "", numbers, draws)


def _line(place: tuple[str, ...], row: RecipeRow) -> dict[str, object]:
    low, high = (np.nan, np.nan) if row.source == DEFAULT else interval(row.gain_draws)
    numbers = {**row.numbers, "gain_low": low, "gain_high": high}
    scale = {"best_picked": 1, "tau": 1}  # all others in percent
    scaled = {name: round(float(value) * scale.get(name, 100), DECIMALS) + 0.0 for name, value in numbers.items()}
    names = dict(zip(RECIPE_KEY, (*place, row.source), strict=True))
    return {**names, "runs": row.runs, "recipes": row.recipes, "chosen": row.chosen, **scaled}


def recipe_page(table: pd.DataFrame, caption: str, default: str) -> str:
    """Table ``recipes`` as Markdown; ``caption`` says on what scale the study ran."""
    parts = [LEGEND.format(default=default)]
    for (dataset, category, detector, scenario), rows in table.groupby(RECIPE_KEY[:-1], sort=False):
        count = f"{rows['recipes'].iloc[0]} recipes, {rows['runs'].iloc[0]} runs."
        parts += [f"## {dataset}, {category}: {detector}, {str(scenario).replace('_', '-')}", count]
        parts.append(markdown_table(HEADS, [_cells(row) for row in rows.to_dict("records")], left=2))
    return markdown_page("Recipes chosen by synthetic anomalies", caption, *parts)


def _cells(row: dict[Any, Any]) -> list[str]:
    gain = "" if row["source"] == DEFAULT else with_interval(row, "gain")
    numbers = [f"{row[name]:.1f}" for name in MEANS[:-1]]
    tau = "" if pd.isna(row["tau"]) else f"{row['tau']:+.2f}"
    return [f"`{row['source']}`", str(row["chosen"]), *numbers, gain, f"{100 * row['best_picked']:.0f} %", tau]
