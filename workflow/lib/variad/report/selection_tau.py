"""How well each source ranks the candidates: Kendall's τ with its interval, and the bound that real data set."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from variad.report.figure_files import NARROWEST, STYLE, save_figure
from variad.report.selection_places import large_datasets
from variad.report.styles import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

BARS, BOUND = "τ of a source, interval of about 95 %", "half-split τ of the real AUROC"
BOUND_COLOUR = "#777777"
WIDTH, BAND = 3.0, 0.42  # inches


def draw_taus(png: str | Path, svg: str | Path, summary: pd.DataFrame, title: str) -> None:
    """Draw the figure twice from table ``selection_summary`` alone."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        save_figure(tau_figure(summary, title), (png, svg))


def tau_figure(summary: pd.DataFrame, title: str) -> "Figure":
    """A panel a category (of a large data set its averages) and benchmark, a row a source; controls have no τ."""
    from matplotlib.figure import Figure

    single = ~summary["category"].str.startswith("average") & summary["dataset"].isin(large_datasets(summary))
    rows = summary[~single & summary["tau"].notna()]
    if rows.empty:
        figure = Figure(figsize=(8, 2))
        figure.text(0.5, 0.5, f"{title}: no ranking.", ha="center")
        return figure
    sources = list(dict.fromkeys(rows["source"]))
    panels = [(key, group) for key, group in rows.groupby(["dataset", "category", "benchmark"], sort=False)]
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    size = (max(NARROWEST, WIDTH * columns + 2.0), lines * (BAND * len(sources) + 1.3) + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (key, group) in zip(axes.flat, panels, strict=False):
        _draw_panel(axis, group, sources, f"{key[0]}, {key[1]}\n{str(key[2]).replace('_', ' ')}")
    axes[0, 0].set_yticks(range(len(sources)), sources)
    axes[0, 0].set_ylim(len(sources) - 0.5, -0.5)
    for axis in axes.flat[len(panels) - columns : len(panels)]:  # with nothing below
        axis.set_xlabel("Kendall's τ")
        axis.tick_params(labelbottom=True)
    figure.suptitle(title, fontweight="bold")
    figure.legend(handles=_handles(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _handles() -> list["Line2D"]:
    from matplotlib.lines import Line2D

    colour, shape = STYLES[0]
    return [
        Line2D([], [], color=colour, marker=shape, linewidth=2, markeredgecolor="white", markersize=9, label=BARS),
        Line2D([], [], color=BOUND_COLOUR, linewidth=1.5, linestyle="--", label=BOUND),
    ]


def _draw_panel(axis: "Axes", rows: pd.DataFrame, sources: list[str], title: str) -> None:
    colour, shape = STYLES[0]
    for row in rows.to_dict("records"):
        y = sources.index(str(row["source"]))
        if pd.notna(row["tau_low"]):
            axis.plot([row["tau_low"], row["tau_high"]], [y, y], color=colour, linewidth=2, zorder=2)
        axis.plot([row["tau"]], [y], shape, color=colour, markersize=8, markeredgecolor="white", zorder=3)
    bound = rows["half_split_tau"].iloc[0]
    if pd.notna(bound):
        axis.axvline(bound, color=BOUND_COLOUR, linewidth=1.5, linestyle="--", zorder=1)
    axis.axvline(0, color="#333333", linewidth=1, zorder=1)
    axis.set_xlim(-1, 1)
    axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−.5", "0", ".5", "1"])
    axis.grid(axis="x", color="#DDDDDD", zorder=0)
    axis.set_axisbelow(True)
    axis.spines["right"].set_visible(False)
    axis.set_title(title, fontsize=12, fontweight="bold")
