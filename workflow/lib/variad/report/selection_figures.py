"""The figures of selection: real against synthetic AUROC (the second document's figures 4 and 5), τ, and exposure.

They show every category of a small data set, a large one as a whole.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from variad.report import figures
from variad.selection.judgement import kendall_tau
from variad.selection.settings import FROZEN, PLAIN

MANY = 6  # categories of a data set, above which it is shown as a whole
PANEL = 2.7  # inches a side
MARGIN = 0.02
AUROCS = ["synthetic_auroc", "real_auroc"]  # along x and y
BARS, BOUND = "τ of a source, interval of about 95 %", "half-split τ of the real AUROC"
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


def draw_scatter(png: str | Path, svg: str | Path, points: pd.DataFrame, title: str) -> Figure:
    """Draw the figure of one benchmark twice: a row a category, a column a source.

    A large marker is a candidate's mean over runs, small ones are its runs.

    Args:
        points: rows of table ``selection_points`` of one benchmark and kind.
        title: what is chosen, and the benchmark.
    """
    if points.empty:
        return figures.draw_nothing((png, svg), f"{title}: no candidates.")
    placed = with_places(points)
    places, sources = (list(dict.fromkeys(placed[name])) for name in ("place", "source"))
    sets = sorted({candidate_set(name) for name in points["candidate"]})
    size = (max(figures.NARROWEST, PANEL * len(sources) + 1.2), PANEL * len(places) + 1.6)
    with figures.drawn((png, svg), size, f"{title}\nlarge: mean over runs; small: single runs") as figure:
        axes = figure.subplots(len(places), len(sources), squeeze=False)
        for line, place in zip(axes, places, strict=True):
            rows = placed[placed["place"] == place]
            values = rows[AUROCS].to_numpy()
            limits = max(0.0, float(values.min()) - MARGIN), min(1.0, float(values.max())) + MARGIN
            for axis, source in zip(line, sources, strict=True):
                _draw_scatter_panel(axis, rows[rows["source"] == source], source, sets, limits)
            line[0].set_ylabel(f"{place}\nreal AUROC")
        for axis in axes[-1]:
            axis.set_xlabel("synthetic AUROC")
        handles = figures.legend_markers(sets, linewidth=0, size=9)
        figures.legend_below(figure, handles, min(6, len(sets)))
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
    axis: Axes, points: pd.DataFrame, source: str, sets: list[str], limits: tuple[float, float]
) -> None:
    axis.plot(limits, limits, color="#999999", linewidth=1, linestyle="--", zorder=1)
    for number, name in enumerate(sets):
        colour, shape = figures.STYLES[number % len(figures.STYLES)]
        rows = points[points["candidate"].map(candidate_set) == name]
        means = rows.groupby(["category", "candidate"], sort=False)[AUROCS].mean()
        style: dict[str, Any] = {"color": colour, "linewidth": 0}
        axis.plot(*rows[AUROCS].to_numpy().T, shape, markersize=3, alpha=0.25, zorder=2, **style)
        axis.plot(*means.to_numpy().T, shape, markersize=7, markeredgecolor="white", zorder=3, **style)
    axis.set(xlim=limits, ylim=limits, aspect="equal")
    axis.locator_params(nbins=4)
    axis.grid(color="#E3E3E3", zorder=0)
    axis.set_axisbelow(True)
    tau = panel_tau(points)
    # adding zero turns -0.0 into 0.0
    shown = f"τ = {round(tau, 2) + 0.0:+.2f}".replace("-", "−") if np.isfinite(tau) else "no ranking"
    axis.set_title(f"{source}\n{shown}", fontsize=12)


def draw_taus(png: str | Path, svg: str | Path, summary: pd.DataFrame, title: str) -> Figure:
    """Draw the figure twice from table ``selection_summary`` alone.

    A panel a category (of a large data set its averages) and benchmark, a row a source; controls have no τ.
    """
    single = ~summary["category"].str.startswith("average") & summary["dataset"].isin(large_datasets(summary))
    rows = summary[~single & summary["tau"].notna()]
    if rows.empty:
        return figures.draw_nothing((png, svg), f"{title}: no ranking.")
    sources = list(dict.fromkeys(rows["source"]))
    panels = list(rows.groupby(["dataset", "category", "benchmark"], sort=False))
    lines, columns = figures.grid_shape(len(panels), 4)
    size = (max(figures.NARROWEST, WIDTH * columns + 2.0), lines * (TAU_BAND * len(sources) + 1.3) + 1.0)
    with figures.drawn((png, svg), size, title) as figure:
        axes = figures.grid_of_panels(figure, lines, columns, len(panels), sharex=True, sharey=True)
        for axis, (key, group) in zip(axes, panels, strict=False):
            _draw_tau_panel(axis, group, sources, f"{key[0]}, {key[1]}\n{str(key[2]).replace('_', ' ')}")
        axes[0].set_yticks(range(len(sources)), sources)
        axes[0].set_ylim(len(sources) - 0.5, -0.5)
        for axis in axes[len(panels) - columns : len(panels)]:  # with nothing below
            axis.set_xlabel("Kendall's τ")
            axis.tick_params(labelbottom=True)
        bound = Line2D([], [], color=figures.COLOURS["grey"], linewidth=1.5, linestyle="--", label=BOUND)
        handles = [*figures.legend_markers([BARS], size=9), bound]
        figures.legend_below(figure, handles, 2)
    return figure


def _draw_tau_panel(axis: Axes, rows: pd.DataFrame, sources: list[str], title: str) -> None:
    for row in rows.to_dict("records"):
        figures.draw_mark(axis, row["tau"], (row["tau_low"], row["tau_high"]), sources.index(str(row["source"])))
    bound = rows["half_split_tau"].iloc[0]
    if pd.notna(bound):
        axis.axvline(bound, color=figures.COLOURS["grey"], linewidth=1.5, linestyle="--", zorder=1)
    axis.axvline(0, color="#333333", linewidth=1, zorder=1)
    axis.set_xlim(-1, 1)
    axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−.5", "0", ".5", "1"])
    figures.light_grid(axis, "x")
    axis.set_title(title, fontsize=12, fontweight="bold")


def draw_exposure(png: str | Path, svg: str | Path, table: pd.DataFrame) -> Figure:
    """Draw the figure twice from table ``exposure``: a panel a category, a row a network, a marker a support set."""
    shown = table[table["objective"] != FROZEN]
    places = list(table[["dataset", "category"]].drop_duplicates().itertuples(index=False, name=None))
    networks = list(dict.fromkeys(map(network_label, shown.to_dict("records"))))
    supports = list(dict.fromkeys(table["support"]))
    size = (max(figures.NARROWEST, 3.4 + 3.3 * len(places)), EXPOSURE_BAND * max(1, len(networks)) + 2.1)
    with figures.drawn((png, svg), size, "Gain in image AUROC over the frozen network, 95 % intervals") as figure:
        axes = figure.subplots(1, max(1, len(places)), squeeze=False, sharey=True)[0]
        for axis, place in zip(axes, places, strict=False):
            rows = table[(table["dataset"] == place[0]) & (table["category"] == place[1])]
            _draw_exposure_panel(axis, rows, networks, supports)
        for axis in axes:
            axis.set_xlabel("gain (percentage points)")
        axes[0].set_yticks(range(len(networks)), networks)
        axes[0].set_ylim(max(1, len(networks)) - 0.5, -0.5)
        if len(supports) > 1:
            names = ["plain support set" if name == PLAIN else f"support set {name}" for name in supports]
            handles = figures.legend_markers(names)
            figures.legend_below(figure, handles, len(supports))
    return figure


def network_label(row: dict[Any, Any]) -> str:
    """A network in words: ``style_mix, classification``, or which fine-tuning without exposure."""
    return CONTROLS.get(str(row["objective"]), f"{row['source']}, {row['objective']}")


def _draw_exposure_panel(axis: Axes, rows: pd.DataFrame, networks: list[str], supports: list[str]) -> None:
    for row in rows[rows["objective"] != FROZEN].to_dict("records"):
        line = supports.index(row["support"])
        y = networks.index(network_label(row)) + figures.DODGE * ((line + 0.5) / len(supports) - 0.5)
        if pd.notna(row["gain"]):
            figures.draw_mark(axis, row["gain"], (row["gain_low"], row["gain_high"]), y, line)
    for place, name in enumerate(networks):
        if name in CONTROLS.values():
            axis.axhspan(place - 0.5, place + 0.5, color=CONTROL_BAND, zorder=0)
    axis.axvline(0, color="#333333", linewidth=1, zorder=1)
    figures.light_grid(axis, "x")
    frozen = rows[(rows["objective"] == FROZEN) & (rows["support"] == PLAIN)]["mean"]
    known = f"\nfrozen: {frozen.iloc[0]:.1f} %" if len(frozen) else ""
    first = rows.iloc[0]
    axis.set_title(f"{first['dataset']}, {first['category']}{known}", fontweight="bold", fontsize=12)
