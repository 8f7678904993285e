"""The pictures of figures 15 and 18."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from variad.ablations.curves import curve_points
from variad.ablations.entries import BASELINE
from variad.ablations.figure_files import COLOURS, drawing_style, light_grid, save
from variad.report.added_table import read_added_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = (
    (COLOURS["orange"], "^", "-"),
    (COLOURS["blue"], "o", "--"),
    (COLOURS["black"], "s", ":"),
    (COLOURS["green"], "D", "-."),
    (COLOURS["pink"], "v", "-"),
)
PANELS_A_ROW = 3


@dataclass(frozen=True)
class Steps:
    """One image while it is guided: after which iterations, ``[T, S, S, 3]`` uint8, and what it is."""

    iterations: list[int]
    images: npt.NDArray[np.uint8]
    parent: str
    prompt: str
    run: int


def read_steps(path: str | Path) -> Steps | None:
    """The first guided image of an ``added.h5`` whose steps were kept, or nothing."""
    rows = read_added_table(path).rows
    with h5py.File(path) as file:
        if "steps" not in file or not len(file["steps_index"]):
            return None
        row = rows.iloc[int(file["steps_index"][0])]
        iterations = [int(iteration) for iteration in file["steps_iteration"][:]]
        return Steps(iterations, file["steps"][0], str(row["parent"]), str(row["prompt"]), int(row["run"]))


def draw_iterations(targets: Sequence[str | Path], curve: pd.DataFrame, steps: Steps | None, title: str) -> None:
    """Draw figure 15: one image while it is guided, and AUROC with its spread over runs below."""
    from matplotlib.figure import Figure

    with drawing_style():
        figure = Figure(figsize=(9, 7.6 if steps else 5), layout="constrained")
        below: Any = figure
        if steps:
            above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.9])[:, 0]
            _draw_steps(above, steps)
        axis = below.subplots()
        points = curve_points(curve)
        _draw_baseline(axis, points)
        _draw_series(axis, curve[curve["series"] != BASELINE], 0, single_runs=True)
        axis.set(xlabel="guided iterations", ylabel="image AUROC (%)")
        axis.set_xticks(sorted(points["x"].dropna().unique()))
        light_grid(axis, "y")
        about = "mean, ± standard deviation, small: single runs"
        below.legend(loc="outside lower center", ncols=2, frameon=False, title=about, title_fontsize=12)
        figure.suptitle(title, fontsize=14, fontweight="bold")
        save(figure, *targets)


def draw_counts(targets: Sequence[str | Path], curves: pd.DataFrame, title: str) -> None:
    """Draw figure 18: a panel a category, AUROC against the number of added images, with its spread over runs."""
    from matplotlib.figure import Figure

    panels = list(curves.groupby(["dataset", "category", "detector"], sort=False))
    columns = min(PANELS_A_ROW, max(1, len(panels)))
    lines = max(1, -(-len(panels) // columns))
    with drawing_style():
        figure = Figure(figsize=(max(7.5, 5 * columns), 4.4 * lines + 1.1), layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, (place, rows) in zip(axes.flat, panels, strict=False):
            _draw_counts_panel(axis, rows, " / ".join(str(part) for part in place))
        for line in axes:
            line[0].set_ylabel("image AUROC (%)")
        handles, names = axes.flat[0].get_legend_handles_labels()
        about = "mean over runs, ± standard deviation"
        columns = max(1, len(names))
        figure.legend(
            handles, names, loc="outside lower center", ncols=columns, frameon=False, title=about, title_fontsize=12
        )
        figure.suptitle(title, fontsize=14, fontweight="bold")
        save(figure, *targets)


def _draw_counts_panel(axis: "Axes", rows: pd.DataFrame, title: str) -> None:
    _draw_baseline(axis, curve_points(rows))
    for number, (_, part) in enumerate(rows[rows["series"] != BASELINE].groupby("series", sort=False)):
        _draw_series(axis, part, number, single_runs=False)
    ticks = _powers_of_two(float(rows["x"].max()))
    axis.set_xscale("symlog", base=2, linthresh=1)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("images added to the shots of a run")
    axis.set_title(title, fontsize=13)
    light_grid(axis, "y")


def _powers_of_two(largest: float) -> list[int]:
    """0, 1, 2, 4 and so on, up to the largest number of images."""
    return [0, *(2**power for power in range(int(np.log2(max(largest, 1))) + 1))]


def _draw_steps(figure: "Figure", steps: Steps) -> None:
    axes: Any = figure.subplots(1, len(steps.iterations), squeeze=False)
    for axis, iteration, image in zip(axes[0], steps.iterations, steps.images, strict=True):
        axis.imshow(image)
        axis.set_title(f"{iteration}", fontsize=12)
        axis.axis("off")
    figure.suptitle(f"“{steps.prompt}”, run {steps.run}, after so many iterations", fontsize=12)


def _draw_baseline(axis: "Axes", points: pd.DataFrame) -> None:
    """The mean of the shots alone as a line across, and with its spread at 0 added images where that is on the axis."""
    for row in points[points["series"] == BASELINE].to_dict("records"):
        grey = "#777777"
        axis.axhline(row["mean"], color=grey, linewidth=1.5, linestyle=(0, (6, 3)), label="shots alone", zorder=1)
        if row["x"] == 0:
            axis.errorbar([0], [row["mean"]], yerr=[np.nan_to_num(row["std"])], fmt="o", color=grey, capsize=4)


def _draw_series(axis: "Axes", rows: pd.DataFrame, number: int, single_runs: bool) -> None:
    if rows.empty:
        return
    colour, marker, line = STYLES[number % len(STYLES)]
    points = curve_points(rows)
    mean, spread = points["mean"], points["std"].fillna(0)
    axis.fill_between(points["x"], mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    if len(points) == 1:  # no line, so no band
        axis.errorbar(points["x"], mean, yerr=spread, color=colour, capsize=4)
    if single_runs:
        axis.scatter(rows["x"], rows["value"], s=18, color=colour, marker=marker, alpha=0.45, linewidths=0)
    style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 8, "markeredgecolor": "white"}
    axis.plot(points["x"], mean, line, label=str(rows["series"].iloc[0]), **style)
