"""The figures of gains over ``original``, with 95 % intervals: the study's first detector alone, and all others."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from variad.evaluation.aggregation import BASELINE, METRICS, SCENARIOS
from variad.report.figures import DODGE, draw_mark, draw_nothing, drawn, legend_below, legend_markers, light_grid

FIRST_SETS = ("generated", "generated_tuned", "duplicated")
TITLE = "gain in AUROC over the shots alone (original), 95 % intervals"
ROW_HEIGHT = 0.17  # inches a marker
WIDTH = 11.0  # inches, at least, so that the title fits
LOWEST = 1.4  # inches, so that the name of a metric fits beside a panel
SHARP = 150  # dots an inch: letters are 13 pixels high where the figure is shown at half its size


def gain_marks(summary: pd.DataFrame, with_detector: bool = False) -> pd.DataFrame:
    """What a figure draws: every gain of AUROC in the summary, with its ``place`` (a band's label) and height ``y``.

    Categories are stacked from the top in the table's order, averages last within their data set; a category's
    training sets share its band. ``original`` has no gain and is left out.

    Args:
        with_detector: a band for each detector of a category, with its name.
    """
    shown = summary["metric"].isin(METRICS) & summary["gain"].notna() & (summary["training_set"] != BASELINE)
    rows = summary[shown]
    bands, sets = ordered_places(rows), ordered_sets(rows["training_set"])
    places = [_place(dataset, category) for dataset, category in zip(rows["dataset"], rows["category"], strict=True)]
    if with_detector:
        detectors = dict.fromkeys(rows["detector"])
        bands = [_named(detector, place) for detector in detectors for place in bands]
        places = [_named(detector, place) for detector, place in zip(rows["detector"], places, strict=True)]
    heights = [
        bands.index(place) + DODGE * ((sets.index(name) + 0.5) / len(sets) - 0.5)
        for place, name in zip(places, rows["training_set"], strict=True)
    ]
    return rows.assign(place=places, y=heights)


def _named(detector: str, place: str) -> str:
    return f"{detector}\n{place.replace(chr(10), ' ')}"


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


def draw_gains(png: str | Path, svg: str | Path, summary: pd.DataFrame, others: bool = False) -> Figure:
    """Draw a figure twice from table ``summary`` alone; the files are the same for the same table.

    A row a metric, a column a scenario; of a single scenario a column a metric, so that no panel is without a mark.

    Args:
        others: all detectors but the study's first, a band each in every category; else that one alone.
    """
    first = summary["detector"] == (summary["detector"].iloc[0] if len(summary) else "")
    marks = gain_marks(summary[~first if others else first], with_detector=others)
    if marks.empty:
        return draw_nothing((png, svg), "No gains: nothing was compared with the shots alone (original).")
    scenarios = [name for name in SCENARIOS if name in set(marks["scenario"])]
    metrics = [name for name in METRICS if name in set(marks["metric"])]
    sets = ordered_sets(marks["training_set"])
    styles = ordered_sets(summary.loc[summary["training_set"] != BASELINE, "training_set"])  # the same in both figures
    lines = [[(metric, name) for name in scenarios] for metric in metrics]
    if len(scenarios) == 1:
        lines = [[(metric, scenarios[0]) for metric in metrics]]
    band = max(0.5, ROW_HEIGHT * len(sets) + 0.1)
    places = [marks.loc[marks["metric"].isin([metric for metric, _ in line]), "place"].nunique() for line in lines]
    heights = [max(LOWEST, count * band) for count in places]
    size = (max(WIDTH, 2.2 + 3.0 * len(lines[0])), sum(heights) + 0.6 * len(lines) + 1.2)
    title = f"{'other detectors' if others else marks['detector'].iloc[0]}: {TITLE}"
    with drawn((png, svg), size, title, dpi=SHARP, fontsize=15) as figure:
        axes = figure.subplots(len(lines), len(lines[0]), squeeze=False, height_ratios=heights)
        for line, row in zip(lines, axes, strict=True):
            for (metric, scenario), axis in zip(line, row, strict=True):
                if len(scenarios) > 1:
                    _share_scale(axis, row[0], METRICS[metric])
                    axis.set_title(SCENARIOS[scenario] if line is lines[0] else "", fontweight="bold")
                else:
                    axis.set_title(f"{METRICS[metric]}, {SCENARIOS[scenario].lower()}", fontweight="bold")
                _draw_panel(axis, marks[marks["metric"] == metric], scenario, styles)
                if line is lines[-1]:
                    axis.set_xlabel("gain (percentage points)")
        handles = [handle for handle in legend_markers(styles) if handle.get_label() in sets]
        legend_below(figure, handles, min(len(sets), 5))
    return figure


def _share_scale(axis: Axes, first: Axes, metric: str) -> None:
    """The scenarios of a metric stand side by side, on one scale, before anything is drawn; the first has labels."""
    if axis is first:
        axis.set_ylabel(metric, fontweight="bold")
        return
    axis.sharex(first)
    axis.sharey(first)
    axis.tick_params(labelleft=False)


def _place(dataset: str, category: str) -> str:
    shown = category.replace("_", " of ", 1) if category.startswith("average") else category
    return f"{dataset}\n{shown}"


def _draw_panel(axis: Axes, rows: pd.DataFrame, scenario: str, styles: list[str]) -> None:
    bands = sorted({round(y): place for y, place in zip(rows["y"], rows["place"], strict=True)}.items())
    # Bands without a marker in this panel (no masks, no pixel metric) are closed up.
    shift = {band: line - band for line, (band, _) in enumerate(bands)}
    averages = set(rows.loc[rows["category"].str.startswith("average"), "place"])
    shown: Any = rows[rows["scenario"] == scenario]
    axis.set_visible(len(shown) > 0)
    for mark in shown.itertuples():
        y = mark.y + shift[round(mark.y)]
        draw_mark(axis, mark.gain, (mark.gain_low, mark.gain_high), y, styles.index(mark.training_set), size=7)
    axis.axvline(0, color="#333333", linewidth=1, zorder=1)
    for line, (_, place) in enumerate(bands):
        if place in averages:
            axis.axhspan(line - 0.5, line + 0.5, color="#EEF1F5", zorder=0)
    axis.set_yticks(range(len(bands)), [place for _, place in bands])
    axis.set_ylim(len(bands) - 0.5, -0.5)
    light_grid(axis, "x")
