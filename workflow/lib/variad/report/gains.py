"""The figure of gains over ``original``: per category and on average, with 95 % intervals."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from variad.evaluation.aggregation import BASELINE, METRICS, SCENARIOS
from variad.report.figures import DODGE, draw_mark, draw_nothing, drawn, legend_markers, light_grid

FIRST_SETS = ("generated", "generated_tuned", "duplicated")
ROW_HEIGHT = 0.2  # inches a marker
NAME_WIDTH = 0.1  # inches a letter of a detector's name, which stands beside its panel from below to above


def gain_marks(summary: pd.DataFrame) -> pd.DataFrame:
    """What the figure draws: every gain of AUROC in the summary, with its ``place`` (a band's label) and height ``y``.

    Categories are stacked from the top in the table's order, averages last within their data set; a category's
    training sets share its band. ``original`` has no gain and is left out.
    """
    shown = summary["metric"].isin(METRICS) & summary["gain"].notna() & (summary["training_set"] != BASELINE)
    rows = summary[shown]
    bands, sets = ordered_places(rows), ordered_sets(rows["training_set"])
    places = [_place(dataset, category) for dataset, category in zip(rows["dataset"], rows["category"], strict=True)]
    heights = [
        bands.index(place) + DODGE * ((sets.index(name) + 0.5) / len(sets) - 0.5)
        for place, name in zip(places, rows["training_set"], strict=True)
    ]
    return rows.assign(place=places, y=heights)


def ordered_sets(training_sets: Iterable[str]) -> list[str]:
    """Training sets in the order of the legend: the method, its tuned form, the control, then the rest by name."""
    names = set(training_sets)
    return [name for name in FIRST_SETS if name in names] + sorted(names - set(FIRST_SETS))


def ordered_places(rows: pd.DataFrame) -> list[str]:
    """Labels of the bands from the top: categories of a data set, then its averages."""
    pairs = dict.fromkeys(zip(rows["dataset"], rows["category"], strict=True))
    datasets = list(dict.fromkeys(rows["dataset"]))
    ordered = sorted(pairs, key=lambda pair: (datasets.index(pair[0]), pair[1].startswith("average")))
    return [_place(*pair) for pair in ordered]


def draw_gains(png: str | Path, svg: str | Path, summary: pd.DataFrame) -> Figure:
    """Draw the figure twice from table ``summary`` alone; the files are the same for the same table."""
    marks = gain_marks(summary)
    if marks.empty:
        return draw_nothing((png, svg), "No gains: nothing was compared with the shots alone (original).")
    scenarios = [name for name in SCENARIOS if name in set(marks["scenario"])]
    sets = ordered_sets(marks["training_set"])
    # detectors in the study's order
    groups: dict[Any, pd.DataFrame] = dict(iter(marks.groupby(["detector", "metric"], sort=False)))
    order = [(detector, metric) for detector in dict.fromkeys(marks["detector"]) for metric in METRICS]
    panels = {key: groups[key] for key in order if key in groups}
    band = max(0.5, ROW_HEIGHT * len(sets) + 0.12)
    heights = [
        max(1.2, NAME_WIDTH * len(detector), rows["place"].nunique() * band) + 0.6
        for (detector, _), rows in panels.items()
    ]
    size = (3.2 + 3.9 * len(scenarios), sum(heights) + 1.7)
    shared: dict[str, Any] = {"sharex": "row", "sharey": "row", "height_ratios": heights}
    with drawn((png, svg), size, "Gain in AUROC over the shots alone (original), 95 % intervals") as figure:
        axes = figure.subplots(len(panels), len(scenarios), squeeze=False, **shared)
        for ((detector, metric), rows), line in zip(panels.items(), axes, strict=True):
            for scenario, axis in zip(scenarios, line, strict=True):
                _draw_panel(axis, rows, scenario, sets)
            line[0].set_ylabel(f"{METRICS[metric]}\n{detector}", fontweight="bold")
        for scenario, column in zip(scenarios, axes.T, strict=True):
            column[0].set_title(SCENARIOS[scenario], fontweight="bold")
            lowest = [axis for axis in column if axis.get_visible()][-1]
            lowest.set_xlabel("gain (percentage points)")
        columns = min(len(sets), 1 + len(scenarios))
        figure.legend(handles=legend_markers(sets), loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _place(dataset: str, category: str) -> str:
    shown = category.replace("_", " of ", 1) if category.startswith("average") else category
    return f"{dataset}\n{shown}"


def _draw_panel(axis: Axes, rows: pd.DataFrame, scenario: str, sets: list[str]) -> None:
    bands = sorted({round(y): place for y, place in zip(rows["y"], rows["place"], strict=True)}.items())
    # Bands without a marker in this panel (no masks, no pixel metric) are closed up.
    shift = {band: line - band for line, (band, _) in enumerate(bands)}
    shown: Any = rows[rows["scenario"] == scenario]
    axis.set_visible(len(shown) > 0)
    for mark in shown.itertuples():
        y = mark.y + shift[round(mark.y)]
        draw_mark(axis, mark.gain, (mark.gain_low, mark.gain_high), y, sets.index(mark.training_set), size=7)
    axis.axvline(0, color="#333333", linewidth=1, zorder=1)
    for line, (_, place) in enumerate(bands):
        if "\naverage" in place:
            axis.axhspan(line - 0.5, line + 0.5, color="#EEF1F5", zorder=0)
    axis.set_yticks(range(len(bands)), [place for _, place in bands])
    axis.set_ylim(len(bands) - 0.5, -0.5)
    light_grid(axis, "x")
