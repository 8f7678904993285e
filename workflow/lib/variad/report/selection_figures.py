"""The figures of selection: real against synthetic AUROC (the second document's figures 4 and 5), τ, and exposure.

They show every category of a small data set, a large one as a whole.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from variad.report.figures import (
    DODGE,
    NARROWEST,
    STYLES,
    draw_mark,
    drawing_style,
    empty_figure,
    legend_markers,
    light_grid,
    save,
)
from variad.selection.judgement import kendall_tau
from variad.selection.settings import FROZEN, PLAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MANY = 6  # categories of a data set, above which it is shown as a whole
PANEL = 2.7  # inches a side
MARGIN = 0.02
CANDIDATE = ["category", "candidate"]
BARS, BOUND = "τ of a source, interval of about 95 %", "half-split τ of the real AUROC"
BOUND_COLOUR = "#777777"
WIDTH, TAU_BAND = 3.0, 0.42  # inches
CONTROLS = {"rotation": "no exposure: rotation", "relabelled": "no exposure: relabelled"}
EXPOSURE_BAND, CONTROL_BAND = 0.55, "#EEF1F5"


def large_datasets(table: pd.DataFrame) -> set[str]:
    """Data sets with more categories than a figure can show."""
    categories = table[~table["category"].str.startswith("average")].groupby("dataset")["category"].nunique()
    return {str(dataset) for dataset, count in categories.items() if count > MANY}


def with_places(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``place``, where its rows are shown: a category, or a large data set as a whole.

    Args:
        table: with columns ``dataset`` and ``category``.
    """
    large = large_datasets(table)
    counts = table.groupby("dataset")["category"].nunique()
    labels = [
        f"{dataset}\n{counts[dataset]} categories" if dataset in large else f"{dataset}\n{category}"
        for dataset, category in zip(table["dataset"], table["category"], strict=True)
    ]
    return table.assign(place=labels)


def draw_scatter(png: str | Path, svg: str | Path, points: pd.DataFrame, title: str) -> None:
    """Draw the figure of one benchmark twice.

    Args:
        points: rows of table ``selection_points`` of one benchmark and kind.
        title: what is chosen, and the benchmark.
    """
    with drawing_style():
        save(scatter_figure(points, title), png, svg)


def scatter_figure(points: pd.DataFrame, title: str) -> "Figure":
    """A row a category, a column a source; a large marker is a candidate's mean over runs, small ones are its runs."""
    from matplotlib.figure import Figure

    if points.empty:
        return empty_figure(f"{title}: no candidates.")
    placed = with_places(points)
    places, sources = (list(dict.fromkeys(placed[name])) for name in ("place", "source"))
    sets = sorted({candidate_set(name) for name in points["candidate"]})
    size = (max(NARROWEST, PANEL * len(sources) + 1.2), PANEL * len(places) + 1.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(places), len(sources), squeeze=False)
    for line, place in zip(axes, places, strict=True):
        rows = placed[placed["place"] == place]
        values = rows[["synthetic_auroc", "real_auroc"]].to_numpy()
        limits = max(0.0, float(values.min()) - MARGIN), min(1.0, float(values.max())) + MARGIN
        for axis, source in zip(line, sources, strict=True):
            _draw_scatter_panel(axis, rows[rows["source"] == source], source, sets, limits)
        line[0].set_ylabel(f"{place}\nreal AUROC")
    for axis in axes[-1]:
        axis.set_xlabel("synthetic AUROC")
    figure.suptitle(f"{title}\nlarge: mean over runs; small: single runs", fontweight="bold")
    handles = legend_markers(sets, linewidth=0, size=9)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(sets)), frameon=False)
    return figure


def candidate_set(candidate: str) -> str:
    """The set that a candidate is of: what stands before the first slash."""
    return candidate.partition("/")[0]


def panel_tau(points: pd.DataFrame) -> float:
    """Kendall's τ-b between synthetic and real AUROC over candidates, mean over runs and categories; NaN if none.

    Args:
        points: of one source.
    """
    taus = [
        float(kendall_tau(group["synthetic_auroc"], group["real_auroc"]))
        for _, group in points.groupby(["category", "run"])
    ]
    known = [tau for tau in taus if np.isfinite(tau)]
    return float(np.mean(known)) if known else np.nan


def _draw_scatter_panel(
    axis: "Axes", points: pd.DataFrame, source: str, sets: list[str], limits: tuple[float, float]
) -> None:
    axis.plot(limits, limits, color="#999999", linewidth=1, linestyle="--", zorder=1)
    for number, name in enumerate(sets):
        colour, shape = STYLES[number % len(STYLES)]
        rows = points[points["candidate"].map(candidate_set) == name]
        axis.plot(
            rows["synthetic_auroc"], rows["real_auroc"], shape, color=colour, markersize=3, alpha=0.25, linewidth=0,
            zorder=2,
        )  # fmt: skip
        means = rows.groupby(CANDIDATE, sort=False)[["synthetic_auroc", "real_auroc"]].mean()
        axis.plot(
            means["synthetic_auroc"], means["real_auroc"], shape, color=colour, markersize=7, markeredgecolor="white",
            linewidth=0, zorder=3,
        )  # fmt: skip
    axis.set(xlim=limits, ylim=limits, aspect="equal")
    axis.locator_params(nbins=4)
    axis.grid(color="#E3E3E3", zorder=0)
    axis.set_axisbelow(True)
    tau = panel_tau(points)
    # adding zero turns -0.0 into 0.0
    shown = f"τ = {round(tau, 2) + 0.0:+.2f}".replace("-", "−") if np.isfinite(tau) else "no ranking"
    axis.set_title(f"{source}\n{shown}", fontsize=12)


def draw_taus(png: str | Path, svg: str | Path, summary: pd.DataFrame, title: str) -> None:
    """Draw the figure twice from table ``selection_summary`` alone."""
    with drawing_style():
        save(tau_figure(summary, title), png, svg)


def tau_figure(summary: pd.DataFrame, title: str) -> "Figure":
    """A panel a category (of a large data set its averages) and benchmark, a row a source; controls have no τ."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    single = ~summary["category"].str.startswith("average") & summary["dataset"].isin(large_datasets(summary))
    rows = summary[~single & summary["tau"].notna()]
    if rows.empty:
        return empty_figure(f"{title}: no ranking.")
    sources = list(dict.fromkeys(rows["source"]))
    panels = [(key, group) for key, group in rows.groupby(["dataset", "category", "benchmark"], sort=False)]
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    size = (max(NARROWEST, WIDTH * columns + 2.0), lines * (TAU_BAND * len(sources) + 1.3) + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (key, group) in zip(axes.flat, panels, strict=False):
        _draw_tau_panel(axis, group, sources, f"{key[0]}, {key[1]}\n{str(key[2]).replace('_', ' ')}")
    axes[0, 0].set_yticks(range(len(sources)), sources)
    axes[0, 0].set_ylim(len(sources) - 0.5, -0.5)
    for axis in axes.flat[len(panels) - columns : len(panels)]:  # with nothing below
        axis.set_xlabel("Kendall's τ")
        axis.tick_params(labelbottom=True)
    figure.suptitle(title, fontweight="bold")
    bound = Line2D([], [], color=BOUND_COLOUR, linewidth=1.5, linestyle="--", label=BOUND)
    figure.legend(handles=[*legend_markers([BARS], size=9), bound], loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw_tau_panel(axis: "Axes", rows: pd.DataFrame, sources: list[str], title: str) -> None:
    for row in rows.to_dict("records"):
        draw_mark(axis, row["tau"], (row["tau_low"], row["tau_high"]), sources.index(str(row["source"])))
    bound = rows["half_split_tau"].iloc[0]
    if pd.notna(bound):
        axis.axvline(bound, color=BOUND_COLOUR, linewidth=1.5, linestyle="--", zorder=1)
    axis.axvline(0, color="#333333", linewidth=1, zorder=1)
    axis.set_xlim(-1, 1)
    axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−.5", "0", ".5", "1"])
    light_grid(axis, "x")
    axis.set_title(title, fontsize=12, fontweight="bold")


def draw_exposure(png: str | Path, svg: str | Path, table: pd.DataFrame) -> None:
    """Draw the figure twice from table ``exposure`` alone."""
    with drawing_style():
        save(exposure_figure(table), png, svg)


def exposure_figure(table: pd.DataFrame) -> "Figure":
    """A panel a category, a row a network, a marker a support set."""
    from matplotlib.figure import Figure

    shown = table[table["objective"] != FROZEN]
    places = list(table[["dataset", "category"]].drop_duplicates().itertuples(index=False, name=None))
    networks = list(dict.fromkeys(map(network_label, shown.to_dict("records"))))
    supports = list(dict.fromkeys(table["support"]))
    size = (max(NARROWEST, 3.4 + 3.3 * len(places)), EXPOSURE_BAND * max(1, len(networks)) + 2.1)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, max(1, len(places)), squeeze=False, sharey=True)[0]
    for axis, place in zip(axes, places, strict=False):
        rows = table[(table["dataset"] == place[0]) & (table["category"] == place[1])]
        _draw_exposure_panel(axis, rows, networks, supports)
    for axis in axes:
        axis.set_xlabel("gain (percentage points)")
    axes[0].set_yticks(range(len(networks)), networks)
    axes[0].set_ylim(max(1, len(networks)) - 0.5, -0.5)
    figure.suptitle("Gain in image AUROC over the frozen network, 95 % intervals", fontweight="bold")
    if len(supports) > 1:
        names = ["plain support set" if name == PLAIN else f"support set {name}" for name in supports]
        handles = legend_markers(names)
        figure.legend(handles=handles, loc="outside lower center", ncols=len(supports), frameon=False)
    return figure


def network_label(row: dict[Any, Any]) -> str:
    """A network in words: ``style_mix, classification``, or which fine-tuning without exposure."""
    return CONTROLS.get(str(row["objective"]), f"{row['source']}, {row['objective']}")


def _draw_exposure_panel(axis: "Axes", rows: pd.DataFrame, networks: list[str], supports: list[str]) -> None:
    for row in rows[rows["objective"] != FROZEN].to_dict("records"):
        line = supports.index(row["support"])
        y = networks.index(network_label(row)) + DODGE * ((line + 0.5) / len(supports) - 0.5)
        if pd.notna(row["gain"]):
            draw_mark(axis, row["gain"], (row["gain_low"], row["gain_high"]), y, line)
    for place, name in enumerate(networks):
        if name in CONTROLS.values():
            axis.axhspan(place - 0.5, place + 0.5, color=CONTROL_BAND, zorder=0)
    axis.axvline(0, color="#333333", linewidth=1, zorder=1)
    light_grid(axis, "x")
    frozen = rows[(rows["objective"] == FROZEN) & (rows["support"] == PLAIN)]["mean"]
    known = f"\nfrozen: {frozen.iloc[0]:.1f} %" if len(frozen) else ""
    first = rows.iloc[0]
    axis.set_title(f"{first['dataset']}, {first['category']}{known}", fontweight="bold", fontsize=12)
