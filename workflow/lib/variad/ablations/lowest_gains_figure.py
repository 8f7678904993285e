"""The picture of figure 17."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from variad.ablations.figure_files import COLOURS, drawing_style, light_grid, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS_A_ROW = 2


def published_lowest(rows: pd.DataFrame, count: int) -> str:
    """The categories of one detector with the lowest published gains, as a line of text; empty where there is none."""
    lowest = rows.dropna(subset=["published_rank"]).sort_values("published_rank")["category"].head(count)
    return f"published lowest: {', '.join(lowest)}" if len(lowest) else ""


def draw_lowest_gains(targets: Sequence[str | Path], gains: pd.DataFrame, count: int, title: str) -> None:
    """Draw the ``count`` lowest gains of every detector in table ``lowest_gains``, ours beside the published ones."""
    from matplotlib.figure import Figure

    detectors = list(dict.fromkeys(gains["detector"]))
    columns = min(PANELS_A_ROW, len(detectors))
    lines = -(-len(detectors) // columns)
    with drawing_style():
        figure = Figure(figsize=(max(8.5, 6.2 * columns), (1.5 + 0.52 * count) * lines + 1), layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False)
        for axis in axes.flat[len(detectors) :]:
            axis.set_visible(False)
        for axis, detector in zip(axes.flat, detectors, strict=False):
            _draw_panel(axis, gains[gains["detector"] == detector], detector, count)
        handles, names = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
        figure.suptitle(title, fontsize=14, fontweight="bold")
        save(figure, *targets)


def _draw_panel(axis: "Axes", rows: pd.DataFrame, detector: str, count: int) -> None:
    shown = rows.dropna(subset=["rank"]).sort_values("rank").head(count)
    heights: Any = range(len(shown))
    axis.errorbar(
        shown["gain"],
        [height - 0.12 for height in heights],
        xerr=shown["gain_std"].fillna(0),
        fmt="o",
        color=COLOURS["blue"],
        markersize=9,
        capsize=3,
        label="ours (± standard deviation over runs)",
    )
    axis.plot(
        shown["published_gain"],
        [height + 0.12 for height in heights],
        "D",
        color=COLOURS["orange"],
        markersize=8,
        label="published, same category",
    )
    axis.axvline(0, color="#333333", linewidth=1)
    axis.set_yticks(list(heights), list(shown["category"]))
    axis.set_ylim(max(len(shown), 1) - 0.5, -0.5)
    axis.set_xlabel("gain in image AUROC (percentage points)")
    note = published_lowest(rows, count)
    axis.set_title(detector, fontsize=13, fontweight="bold", pad=22 if note else 8)
    if note:
        axis.text(0.5, 1.015, note, transform=axis.transAxes, ha="center", va="bottom", fontsize=10.5, color="#444444")
    light_grid(axis, "x")
