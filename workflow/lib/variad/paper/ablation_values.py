"""The values of the ablations: what was measured in cells, run by run, and what the document prints beside it.

Its tables 4 and 16 to 18 are in schema ``published_ablations``, each value with the note on what is odd about it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from variad.core.tables import read_table
from variad.evaluation.cells import CELL_KEY
from variad.paper.ablation_entries import BASELINE

DECIMALS = 4  # fixed, so that equal results are equal files
DATASET = "mvtec_ad"
BASELINE_ROW = {16: "original", 17: "baseline", 18: "baseline"}
# The detector whose values stand in a column, and the scenario. Table 17 names neither: its baselines equal these.
PLACES = {
    (17, "leather"): ("efficientad", "one_shot"),
    (17, "pill"): ("cflow", "one_shot"),
    (18, "toothbrush"): ("patchcore", "one_shot"),
    (18, "grid"): ("patchcore", "one_shot"),
}

Runs: TypeAlias = "pd.Series[float]"


def read_metrics(paths: Iterable[str | Path]) -> pd.DataFrame:
    """The tables ``metrics`` of several cells under each other."""
    tables = [read_table(path, "metrics") for path in paths]
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True)


def percent_by_run(metrics: pd.DataFrame, cell: Mapping[str, str], metric: str = "image_auroc") -> Runs:
    """A metric of one cell in percent, indexed by run; empty where the cell has none.

    Args:
        cell: the values of ``CELL_KEY``.
    """
    chosen = metrics["metric"] == metric
    for name in CELL_KEY:
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


def measured(values: Runs, baseline: "Runs | None" = None) -> dict[str, Any]:
    """Our columns of schema ``ablation_table``; ``baseline`` is None where a gain has no meaning."""
    mean, std = mean_and_std(values)
    gain, gain_std = (np.nan, np.nan) if baseline is None else mean_and_std(paired_gain(values, baseline))
    found = {"ours_mean": mean, "ours_std": std, "ours_gain": gain, "ours_gain_std": gain_std}
    return {**{name: round(value, DECIMALS) + 0.0 for name, value in found.items()}, "runs": len(values)}


def baseline_of(cell: Mapping[str, str]) -> dict[str, str]:
    """The same cell with the shots alone."""
    return {**cell, "training_set": BASELINE}


@dataclass(frozen=True)
class Printed:
    """A printed value, its spread over runs, its gain over the printed baseline and the note on it; NaN for none."""

    mean: float
    std: float
    gain: float
    note: str = ""

    @property
    def columns(self) -> dict[str, float]:
        """The published columns of schema ``ablation_table``."""
        return {"published_mean": self.mean, "published_std": self.std, "published_gain": self.gain}


NONE = Printed(float("nan"), float("nan"), float("nan"))


def ablation_row(place: Mapping[str, Any], ours: Mapping[str, Any], printed: Printed, note: str) -> dict[str, Any]:
    """A row of schema ``ablation_table``.

    Args:
        place: the columns that say what the values are of.
        ours: from ``measured``.
        note: ours, beside the one on the printed value; may be empty.
    """
    return {
        **place,
        **ours,
        **printed.columns,
        "difference": round(ours["ours_mean"] - printed.mean, DECIMALS) + 0.0,
        "footnote": " ".join(filter(None, (printed.note, note))),
    }


def printed_component(published: pd.DataFrame, table: int, cell: Mapping[str, str], row: str) -> Printed:
    """A value of table 17 or 18, beside the cell that it is about and beside no other.

    Args:
        published: schema ``published_ablations``.
        cell: dataset, category, detector and scenario.
        row: the document's component, such as ``strategies_1``.
    """
    if cell["dataset"] != DATASET or PLACES.get((table, cell["category"])) != (cell["detector"], cell["scenario"]):
        return NONE
    # the document joins the kind of the product, or the detector, to the category: leather_texture
    rows = published[(published["table"] == table) & published["what"].str.startswith(f"{cell['category']}_")]
    return _printed(rows, "image_auroc_percent", row, BASELINE_ROW[table])


def printed_form(published: pd.DataFrame, dataset: str, metric: str, row: str) -> Printed:
    """A value of table 16; ``metric`` by the names of schema ``published_ablations``."""
    if dataset != DATASET:
        return NONE
    return _printed(published[published["table"] == 16], metric, row, BASELINE_ROW[16])


def _printed(rows: pd.DataFrame, metric: str, row: str, baseline: str) -> Printed:
    of_metric = rows[rows["metric"] == metric]
    here, before = (of_metric[of_metric["component"] == name] for name in (row, baseline))
    if here.empty:
        return NONE
    mean = float(here["value"].iloc[0])
    is_gain = metric.endswith("auroc_percent") and row != baseline and len(before)
    gain = round(mean - float(before["value"].iloc[0]), DECIMALS) + 0.0 if is_gain else float("nan")
    return Printed(mean, float(here["std"].iloc[0]), gain, str(here["note"].iloc[0]))


def printed_prompt(published: pd.DataFrame, dataset: str, category: str, choice: str) -> tuple[str, str]:
    """A prompt of table 4 and the note on it; empty where there is none. ``choice`` is ``best`` or ``worst``."""
    table = published[published["table"] == 4]
    rows = table[(table["component"] == category) & (table["setting"] == choice)]
    if dataset != DATASET or rows.empty:
        return "", ""
    return str(rows["value"].iloc[0]), str(rows["note"].iloc[0])
