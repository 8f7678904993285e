"""From cells to rows of the summary: mean, standard deviation, paired gain over ``original``, averages, contrasts.

Published values stand beside ours only for the paper's two training sets, and averages only over the same categories.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.shortages import new_hdf5
from variad.evaluation.bootstrap import DRAWS, interval
from variad.evaluation.cells import CELL_KEY, Cell, check_paired, metric_draws

Array = NDArray[Any]

BASELINE = "original"
SCENARIOS = {"one_shot": "One-shot", "few_shot": "Few-shot", "full_shot": "Full-shot"}  # and their titles
METRICS = {"image_auroc": "Image AUROC", "pixel_auroc": "Pixel AUROC"}  # that a summary is read for, and their titles
ROW_KEY = [*CELL_KEY, "metric"]
DECIMALS = 4  # fixed, so that equal results are equal files
# our names of detectors whose name in the published tables is another
_PUBLISHED_DETECTORS = {"efficientad": "efficient_ad"}


@dataclass(frozen=True)
class SummaryRow:
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
    gain: float = float("nan")
    gain_draws: Array = field(default_factory=lambda: np.zeros(0))

    def mean(self, runs: Iterable[int]) -> float:
        """Of the values in some of its runs."""
        return float(self.values[np.isin(self.runs, list(runs))].mean())

    @property
    def key(self) -> dict[str, str]:
        """The values of ``ROW_KEY``."""
        return {name: getattr(self, name) for name in ROW_KEY}


def category_rows(cells: Sequence[Cell], seed: int, draws: int = DRAWS) -> list[SummaryRow]:
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


def _compared_rows(cells: Sequence[Cell], seed: int, draws: int) -> list[SummaryRow]:
    baseline = next((cell for cell in cells if cell.training_set == BASELINE), None)
    if baseline is None:
        return [row for cell in cells for row in _plain_rows(cell)]
    before = {row.metric: row for row in _plain_rows(baseline)}
    drawn_before = metric_draws(baseline, seed, draws) if len(cells) > 1 else {}
    rows: list[SummaryRow] = []
    for cell in cells:
        if cell is baseline:
            rows += before.values()
            continue
        check_paired(cell, baseline)
        drawn = metric_draws(cell, seed, draws)
        for row in _plain_rows(cell):
            other, metric = before[row.metric], row.metric
            gain_draws = drawn[metric] - drawn_before[metric] if metric in drawn else np.zeros(0)
            rows.append(replace(row, gain=row.mean(row.runs) - other.mean(other.runs), gain_draws=gain_draws))
    return rows


def _plain_rows(cell: Cell) -> list[SummaryRow]:
    key: dict[str, Any] = cell.key
    rows = []
    for metric, table in cell.metrics.groupby("metric", sort=False):
        table = table.sort_values("run")
        runs = tuple(int(run) for run in table["run"])
        rows.append(SummaryRow(**key, metric=str(metric), runs=runs, values=table["value"].to_numpy()))
    return rows


def average_rows(
    rows: Sequence[SummaryRow],
    groups: Mapping[str, Mapping[str, str]] | None = None,
    across: Mapping[str, Sequence[str]] | None = None,
) -> list[SummaryRow]:
    """Averages over all categories of each data set, and over each of its groups of them, where there is more than one.

    A row is left out unless every category has it, in one run at least that all have, so that averages stay comparable
    across training sets. Where categories have other runs besides, mean and gain are of those that all have, and the
    gain has no interval: the draws are of all runs.

    Args:
        groups: for a data set, the group (say ``object``) of each category; gives ``average_object`` and so on.
        across: averages over categories of several data sets, each ``dataset/category``, by a name that stands for a
            data set's.
    """
    averages = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        members = [row for row in rows if row.dataset == dataset]
        categories = list(dict.fromkeys(row.category for row in members))
        group_of = (groups or {}).get(dataset, {})
        averaged = {"average": categories}
        for category in categories:
            if category in group_of:
                averaged.setdefault(f"average_{group_of[category]}", []).append(category)
        for name, group in averaged.items():
            if len(group) > 1:
                averages += _average(members, group, name)
    for name, places in (across or {}).items():
        members = [replace(row, dataset=name, category=f"{row.dataset}/{row.category}") for row in rows]
        averages += _average(members, places, "average")
    return averages


def _average(rows: Sequence[SummaryRow], categories: Sequence[str], name: str) -> list[SummaryRow]:
    together: dict[tuple[str, ...], list[SummaryRow]] = {}
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


def _mean_row(rows: Sequence[SummaryRow], before: Sequence[SummaryRow], runs: Sequence[int], name: str) -> SummaryRow:
    """The mean of rows over ``runs``, which all have; ``before`` are those of the baseline, if there are any."""
    values = np.mean([row.values[np.isin(row.runs, runs)] for row in rows], axis=0)
    gain = np.nan
    if len(before) == len(rows):
        gain = float(np.mean([row.mean(runs) - other.mean(runs) for row, other in zip(rows, before, strict=True)]))
    drawn = all(row.gain_draws.size and len(row.runs) == len(runs) for row in rows)
    draws = np.mean([row.gain_draws for row in rows], axis=0) if drawn else np.zeros(0)
    return replace(rows[0], category=name, runs=tuple(runs), values=values, gain=gain, gain_draws=draws)


def summarise(rows: Sequence[SummaryRow], published: pd.DataFrame) -> pd.DataFrame:
    """The table of schema ``summary``, in percent and percentage points.

    Args:
        published: schema ``published_auroc``; its values stand beside the rows that they belong to.
    """
    categories: dict[str, set[str]] = {}
    for row in rows:
        categories.setdefault(row.dataset, set()).add(row.category)
    table: list[dict[str, object]] = []
    for row in rows:
        low, high = interval(row.gain_draws)
        std = row.values.std(ddof=1) if row.values.size > 1 else np.nan
        fractions = {"mean": row.values.mean(), "std": std, "gain": row.gain, "gain_low": low, "gain_high": high}
        printed = published_mean(published, row.key, categories[row.dataset])
        table.append({**row.key, **_percent(fractions), "runs": len(row.runs), "published_mean": printed})
    columns = [*ROW_KEY, "mean", "std", "runs", "gain", "gain_low", "gain_high", "published_mean"]
    return pd.DataFrame(table, columns=columns)


def contrast_table(rows: Sequence[SummaryRow], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Training sets against each other: for each pair the first less the second, schema ``contrasts``, in points.

    Every row's draws resample the same runs and test images, so that their differences are paired, too.

    Args:
        rows: of categories and averages, with their bootstrap draws; ``original`` has none and counts as no gain.

    Raises:
        UserError: a pair names a training set that no row has.
    """
    by_name: dict[str, dict[tuple[str, ...], SummaryRow]] = {}
    for row in rows:
        place = tuple(value for name, value in row.key.items() if name != "training_set")
        by_name.setdefault(row.training_set, {})[place] = row
    unknown = [name for pair in pairs for name in pair if name not in by_name]
    if unknown:
        raise UserError(
            f"config key study.contrasts: expected training sets of the study, found {unknown[0]!r} among no results."
        )
    table = [
        _difference(row, by_name[second][place])
        for first, second in pairs
        for place, row in by_name[first].items()
        if place in by_name[second]
    ]
    return pd.DataFrame(table, columns=[*ROW_KEY, "against", "difference", "low", "high", "runs"])


def _difference(row: SummaryRow, other: SummaryRow) -> dict[str, object]:
    ours, theirs = row.gain_draws, other.gain_draws
    if ours.size and theirs.size:
        ours = ours - theirs
    elif theirs.size:
        ours = -theirs
    low, high = interval(ours)
    values = {"difference": row.values.mean() - other.values.mean(), "low": low, "high": high}
    runs = min(len(row.runs), len(other.runs))
    return {**row.key, "against": other.training_set, **_percent(values), "runs": runs}


def _percent(fractions: Mapping[str, float]) -> dict[str, float]:
    # adding zero turns -0.0 into 0.0
    return {name: round(100 * float(value), DECIMALS) + 0.0 for name, value in fractions.items()}


def write_rows(path: str | Path, rows: Sequence[SummaryRow]) -> None:
    """Keep rows with their draws, so that averages over categories get an interval too.

    A group ``/{number}`` a row: its key and gain as attributes, ``runs``, ``values`` and ``gain_draws``.
    """
    with writing(path) as temporary, new_hdf5(temporary) as file:
        for number, row in enumerate(rows):
            group = file.create_group(f"{number:06d}")
            group.attrs.update({**row.key, "gain": row.gain})
            group.create_dataset("runs", data=row.runs, dtype=np.int64)
            group.create_dataset("values", data=row.values, dtype=np.float64)
            group.create_dataset("gain_draws", data=row.gain_draws, dtype=np.float64)


def read_rows(path: str | Path) -> list[SummaryRow]:
    """Read what ``write_rows`` wrote, in its order.

    Raises:
        UserError: the file is missing or is no such file.
    """
    try:
        with h5py.File(path) as file:
            return [
                SummaryRow(
                    **{name: str(file[number].attrs[name]) for name in ROW_KEY},
                    runs=tuple(int(run) for run in file[number]["runs"][:]),
                    values=file[number]["values"][:],
                    gain=float(file[number].attrs["gain"]),
                    gain_draws=file[number]["gain_draws"][:],
                )
                for number in sorted(file)
            ]
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: expected bootstrap draws by row, found: {error}.") from error


def published_detector(name: str) -> str:
    """The name that a detector of ours has in the published tables."""
    return _PUBLISHED_DETECTORS.get(name, name)


def published_mean(published: pd.DataFrame, key: Mapping[str, str], categories: Iterable[str]) -> float:
    """The published value of a row of the summary in percent; NaN when there is none.

    Args:
        published: schema ``published_auroc``; its column ``source`` is our ``training_set``.
        key: dataset, category, detector, scenario, training_set and metric of the row.
        categories: the categories of the data set that a study has. A published average is given only to a study of
            all the published categories and no other: averages over different ones cannot be compared.
    """
    match = published[published["dataset"] == key["dataset"]].rename(columns={"source": "training_set"})
    theirs, ours = ({name for name in names if not is_average(name)} for names in (match["category"], categories))
    if is_average(key["category"]) and theirs != ours:
        return float("nan")
    for name, value in key.items():
        match = match[match[name] == (published_detector(value) if name == "detector" else value)]
    return float(match["mean_percent"].iloc[0]) if len(match) else float("nan")


def is_average(category: str) -> bool:
    """Whether rows of that name are means over categories."""
    return category == "average" or category.startswith("average_")
