"""The figure of gains over ``original``: per category and on average, with 95 % intervals."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from variad.evaluation.aggregation import BASELINE, SCENARIOS
from variad.report.figures import DODGE, draw_mark, draw_nothing, drawn, legend_markers, light_grid

METRICS = {"image_auroc": "Image AUROC", "pixel_auroc": "Pixel AUROC"}
FIRST_SETS = ("generated", "generated_tuned", "duplicated")
ROW_HEIGHT = 0.2  # inches a marker
NAME_WIDTH = 0.1  # inches a letter of a detector's name, which stands beside its panel from below to above


@dataclass(frozen=True)
class Mark:
    """One marker: a gain in percentage points, its interval (NaN if unknown), and its height in the panel."""

    detector: str
    metric: str
    scenario: str
    place: str
    training_set: str
    gain: float
    low: float
    high: float
    y: float


def gain_marks(summary: pd.DataFrame) -> list[Mark]:
    """What the figure draws: every gain of AUROC in the summary, placed.

    Categories are stacked from the top in the table's order, averages last within their data set; a category's
    training sets share its band. ``original`` has no gain and is left out.
    """
    shown = summary["metric"].isin(METRICS) & summary["gain"].notna() & (summary["training_set"] != BASELINE)
    rows = summary[shown]
    places, sets = ordered_places(rows), ordered_sets(rows["training_set"])
    return [_mark(row, places, sets) for row in rows.itertuples(index=False)]


def ordered_sets(training_sets: Iterable[str]) -> list[str]:
    """Training sets in the order of the legend: the method, its tuned form, the control, then the rest by name."""
    names = set(training_sets)
    return [name for name in FIRST_SETS if name in names] + sorted(names - set(FIRST_SETS))


def ordered_places(rows: pd.DataFrame) -> list[str]:
    """Labels of the bands from the top: categories of a data set, then its averages."""
    pairs = rows[["dataset", "category"]].drop_duplicates()
    averages = pairs["category"].str.startswith("average")
    order = pd.DataFrame({"dataset": pairs["dataset"], "average": averages}).assign(at=range(len(pairs)))
    order["dataset"] = pd.Categorical(order["dataset"], pairs["dataset"].drop_duplicates())
    placed = pairs.iloc[order.sort_values(["dataset", "average", "at"])["at"]]
    return [_place(dataset, category) for dataset, category in placed.itertuples(index=False)]


def draw_gains(png: str | Path, svg: str | Path, summary: pd.DataFrame) -> Figure:
    """Draw the figure twice from table ``summary`` alone; the files are the same for the same table."""
    marks = gain_marks(summary)
    if not marks:
        return draw_nothing((png, svg), "No gains: nothing was compared with the shots alone (original).")
    panels = _panels(marks)
    scenarios = [name for name in SCENARIOS if any(mark.scenario == name for mark in marks)]
    heights = [_panel_height(marks, panel) for panel in panels]
    size = (3.2 + 3.9 * len(scenarios), sum(heights) + 1.7)
    shared: dict[str, Any] = {"sharex": "row", "sharey": "row", "height_ratios": heights}
    with drawn((png, svg), size, "Gain in AUROC over the shots alone (original), 95 % intervals") as figure:
        axes = figure.subplots(len(panels), len(scenarios), squeeze=False, **shared)
        for panel, line in zip(panels, axes, strict=True):
            for scenario, axis in zip(scenarios, line, strict=True):
                _draw_panel(axis, marks, panel, scenario)
            line[0].set_ylabel(f"{METRICS[panel[1]]}\n{panel[0]}", fontweight="bold")
        for scenario, column in zip(scenarios, axes.T, strict=True):
            column[0].set_title(SCENARIOS[scenario], fontweight="bold")
            lowest = [axis for axis in column if axis.get_visible()][-1]
            lowest.set_xlabel("gain (percentage points)")
        sets = ordered_sets(mark.training_set for mark in marks)
        columns = min(len(sets), 1 + len(scenarios))
        figure.legend(handles=legend_markers(sets), loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _place(dataset: str, category: str) -> str:
    shown = category.replace("_", " of ", 1) if category.startswith("average") else category
    return f"{dataset}\n{shown}"


def _mark(row: Any, places: list[str], sets: list[str]) -> Mark:
    place = _place(row.dataset, row.category)
    y = places.index(place) + DODGE * ((sets.index(row.training_set) + 0.5) / len(sets) - 0.5)
    interval = (float(row.gain_low), float(row.gain_high))
    return Mark(row.detector, row.metric, row.scenario, place, row.training_set, float(row.gain), *interval, y)


def _panels(marks: list[Mark]) -> list[tuple[str, str]]:
    """Detector and metric of each line of the figure: detectors in the study's order."""
    found = {(mark.detector, mark.metric) for mark in marks}
    detectors = dict.fromkeys(mark.detector for mark in marks)
    return [(detector, metric) for detector in detectors for metric in METRICS if (detector, metric) in found]


def _panel_height(marks: list[Mark], panel: tuple[str, str]) -> float:
    sets = len({mark.training_set for mark in marks})
    places = len({mark.place for mark in marks if (mark.detector, mark.metric) == panel})
    return float(max(1.2, NAME_WIDTH * len(panel[0]), places * max(0.5, ROW_HEIGHT * sets + 0.12)) + 0.6)


def _draw_panel(axis: Axes, marks: list[Mark], panel: tuple[str, str], scenario: str) -> None:
    of_panel = [mark for mark in marks if (mark.detector, mark.metric) == panel]
    axis.set_visible(any(mark.scenario == scenario for mark in of_panel))
    bands = sorted({round(mark.y): mark.place for mark in of_panel}.items())
    # Bands without a marker in this panel (no masks, no pixel metric) are closed up.
    shift = {band: line - band for line, (band, _) in enumerate(bands)}
    sets = ordered_sets(mark.training_set for mark in marks)
    for mark in (mark for mark in of_panel if mark.scenario == scenario):
        y = mark.y + shift[round(mark.y)]
        draw_mark(axis, mark.gain, (mark.low, mark.high), y, sets.index(mark.training_set), size=7)
    axis.axvline(0, color="#333333", linewidth=1, zorder=1)
    for line, (_, place) in enumerate(bands):
        if "\naverage" in place:
            axis.axhspan(line - 0.5, line + 0.5, color="#EEF1F5", zorder=0)
    axis.set_yticks(range(len(bands)), [place for _, place in bands])
    axis.set_ylim(len(bands) - 0.5, -0.5)
    light_grid(axis, "x")
