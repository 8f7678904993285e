"""The pictures of figures 12, 15, 17 and 18: t-SNE, guided iterations, lowest gains and numbers of added images.

Each is drawn from its table (``curves``, ``tsne``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from variad.paper.ablation_entries import BASELINE
from variad.paper.curves import curve_points
from variad.report.contact_sheet import read_added_table
from variad.report.figures import COLOURS, drawn, grid_of_panels, grid_shape, legend_below, light_grid

Targets = Sequence[str | Path]  # names of one picture, PNG or SVG by their suffix

STYLES = (
    (COLOURS["orange"], "^", "-"),
    (COLOURS["blue"], "o", "--"),
    (COLOURS["black"], "s", ":"),
    (COLOURS["green"], "D", "-."),
    (COLOURS["pink"], "v", "-"),
)
# as in the document: normal images blue, generated ones red, defective ones green; here told apart by shape as well
TSNE_STYLES = {
    "train_normal": ("real normal, training", COLOURS["blue"], "o"),
    "test_normal": ("real normal, test", COLOURS["sky"], "s"),
    "anomalous": ("defective, test", COLOURS["green"], "X"),
    "generated": ("generated", COLOURS["orange"], "^"),
}


@dataclass(frozen=True)
class IterationSteps:
    """One image while it is guided: after which iterations, ``[T, S, S, 3]`` uint8, and what it is."""

    iterations: list[int]
    images: npt.NDArray[np.uint8]
    parent: str
    prompt: str
    run: int


def read_steps(path: str | Path) -> IterationSteps | None:
    """The first guided image of an ``added.h5`` whose steps were kept, or nothing."""
    rows = read_added_table(path).rows
    with h5py.File(path) as file:
        if "steps" not in file or not len(file["steps_index"]):
            return None
        row = rows.iloc[int(file["steps_index"][0])]
        iterations = [int(iteration) for iteration in file["steps_iteration"][:]]
        return IterationSteps(iterations, file["steps"][0], str(row["parent"]), str(row["prompt"]), int(row["run"]))


def draw_iterations(targets: Targets, curve: pd.DataFrame, steps: IterationSteps | None, title: str) -> None:
    """Draw figure 15: one image while it is guided, and AUROC with its spread over runs below."""
    with drawn(targets, (9, 7.6 if steps else 5), title, fontsize=14) as figure:
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
        _legend(below, axis, 2, "mean, ± standard deviation, small: single runs")


def draw_counts(targets: Targets, curves: pd.DataFrame, title: str) -> None:
    """Draw figure 18: a panel a category, AUROC against the number of added images, with its spread over runs."""
    panels = list(curves.groupby(["dataset", "category", "detector"], sort=False))
    lines, columns = grid_shape(len(panels), 3)
    with drawn(targets, (max(7.5, 5 * columns), 4.4 * lines + 1.1), title, fontsize=14) as figure:
        axes = grid_of_panels(figure, lines, columns, len(panels))
        for axis, (place, rows) in zip(axes, panels, strict=False):
            _draw_counts_panel(axis, rows, " / ".join(str(part) for part in place))
        for axis in axes[::columns]:
            axis.set_ylabel("image AUROC (%)")
        _legend(figure, axes[0], len(axes[0].get_legend_handles_labels()[1]), "mean over runs, ± standard deviation")


def draw_lowest_gains(targets: Targets, gains: pd.DataFrame, count: int, title: str) -> None:
    """Draw figure 17: the ``count`` lowest gains of every detector in table ``lowest_gains``, beside the published."""
    detectors = list(dict.fromkeys(gains["detector"]))
    lines, columns = grid_shape(len(detectors), 2)
    with drawn(targets, (max(8.5, 6.2 * columns), (1.5 + 0.52 * count) * lines + 1), title, fontsize=14) as figure:
        axes = grid_of_panels(figure, lines, columns, len(detectors))
        for axis, detector in zip(axes, detectors, strict=False):
            _draw_gains_panel(axis, gains[gains["detector"] == detector], detector, count)
        _legend(figure, axes[0], 2)


def draw_tsne(targets: Targets, points: pd.DataFrame, title: str) -> None:
    """Draw figure 12 from table ``tsne_points``."""
    with drawn(targets, (8.5, 7.6)) as figure:
        axis = figure.subplots()
        for kind, label in legend_labels(points).items():
            _, colour, marker = TSNE_STYLES[kind]
            rows = points[points["kind"] == kind]
            axis.scatter(
                rows["x"], rows["y"], s=70, c=colour, marker=marker, edgecolors="white", linewidths=0.6, label=label
            )
        axis.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
        axis.set_title(title, fontsize=14, fontweight="bold")
        about = "images (number, mean distance in feature space to the nearest other training normal)"
        _legend(figure, axis, 2, about, 11)


def _legend(figure: Any, axis: Axes, columns: int, title: str | None = None, size: int = 12) -> None:
    """What the marks of ``axis`` are, below a figure or a part of one."""
    legend_below(figure, axis.get_legend_handles_labels()[0], columns, title=title, title_fontsize=size)


def _draw_steps(figure: Figure, steps: IterationSteps) -> None:
    axes: Any = figure.subplots(1, len(steps.iterations), squeeze=False)
    for axis, iteration, image in zip(axes[0], steps.iterations, steps.images, strict=True):
        axis.imshow(image)
        axis.set_title(f"{iteration}", fontsize=12)
        axis.axis("off")
    figure.suptitle(f"“{steps.prompt}”, run {steps.run}, after so many iterations", fontsize=12)


def _draw_counts_panel(axis: Axes, rows: pd.DataFrame, title: str) -> None:
    _draw_baseline(axis, curve_points(rows))
    for number, (_, part) in enumerate(rows[rows["series"] != BASELINE].groupby("series", sort=False)):
        _draw_series(axis, part, number, single_runs=False)
    powers = int(np.log2(max(float(rows["x"].max()), 1))) + 1
    ticks = [0, *(2**power for power in range(powers))]
    axis.set_xscale("symlog", base=2, linthresh=1)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("images added to the shots of a run")
    axis.set_title(title, fontsize=13)
    light_grid(axis, "y")


def _draw_baseline(axis: Axes, points: pd.DataFrame) -> None:
    """The mean of the shots alone as a line across, and with its spread at 0 added images where that is on the axis."""
    for row in points[points["series"] == BASELINE].to_dict("records"):
        grey = COLOURS["grey"]
        axis.axhline(row["mean"], color=grey, linewidth=1.5, linestyle=(0, (6, 3)), label="shots alone", zorder=1)
        if row["x"] == 0:
            axis.errorbar([0], [row["mean"]], yerr=[np.nan_to_num(row["std"])], fmt="o", color=grey, capsize=4)


def _draw_series(axis: Axes, rows: pd.DataFrame, number: int, single_runs: bool) -> None:
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


def _draw_gains_panel(axis: Axes, rows: pd.DataFrame, detector: str, count: int) -> None:
    shown = rows.dropna(subset=["rank"]).sort_values("rank").head(count)
    heights = np.arange(len(shown))
    ours: dict[str, Any] = {"color": COLOURS["blue"], "label": "ours (± standard deviation over runs)"}
    theirs: dict[str, Any] = {"color": COLOURS["orange"], "label": "published, same category"}
    spread = shown["gain_std"].fillna(0)
    axis.errorbar(shown["gain"], heights - 0.12, xerr=spread, fmt="o", markersize=9, capsize=3, **ours)
    axis.plot(shown["published_gain"], heights + 0.12, "D", markersize=8, **theirs)
    axis.axvline(0, color="#333333", linewidth=1)
    axis.set_yticks(heights, list(shown["category"]))
    axis.set_ylim(max(len(shown), 1) - 0.5, -0.5)
    axis.set_xlabel("gain in image AUROC (percentage points)")
    note = published_lowest(rows, count)
    axis.set_title(detector, fontsize=13, fontweight="bold", pad=22 if note else 8)
    if note:
        axis.text(0.5, 1.015, note, transform=axis.transAxes, ha="center", va="bottom", fontsize=10.5, color="#444444")
    light_grid(axis, "x")


def published_lowest(rows: pd.DataFrame, count: int) -> str:
    """The categories of one detector with the lowest published gains, as a line of text; empty where there is none."""
    lowest = rows.dropna(subset=["published_rank"]).sort_values("published_rank")["category"].head(count)
    return f"published lowest: {', '.join(lowest)}" if len(lowest) else ""


def legend_labels(points: pd.DataFrame) -> dict[str, str]:
    """By kind: its name, number of images, and their mean distance to the nearest training normal."""
    labels = {}
    for kind, (name, _, _) in TSNE_STYLES.items():
        rows = points[points["kind"] == kind]
        if len(rows):
            mean = rows["nearest_normal"].mean()
            distance = f", {mean:.3f}" if mean == mean else ""
            labels[kind] = f"{name} ({len(rows)}{distance})"
    return labels
