"""Figures 4 and 5 of the second document: real against synthetic AUROC of every candidate."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from variad.report.figure_files import NARROWEST, STYLE, save_figure
from variad.report.selection_places import with_places
from variad.report.styles import STYLES
from variad.selection.rank_correlation import kendall_tau

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 2.7  # inches a side
MARGIN = 0.02
CANDIDATE = ["category", "candidate"]


def draw_scatter(png: str | Path, svg: str | Path, points: pd.DataFrame, title: str) -> None:
    """Draw the figure of one benchmark twice.

    Args:
        points: rows of table ``selection_points`` of one benchmark and kind.
        title: what is chosen, and the benchmark.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        save_figure(scatter_figure(points, title), (png, svg))


def scatter_figure(points: pd.DataFrame, title: str) -> "Figure":
    """A row a category, a column a source; a large marker is a candidate's mean over runs, small ones are its runs."""
    from matplotlib.figure import Figure

    if points.empty:
        figure = Figure(figsize=(8, 2))
        figure.text(0.5, 0.5, f"{title}: no candidates.", ha="center")
        return figure
    placed = with_places(points)
    places, sources = (list(dict.fromkeys(placed[name])) for name in ("place", "source"))
    sets = sorted({candidate_set(name) for name in points["candidate"]})
    size = (max(NARROWEST, PANEL * len(sources) + 1.2), PANEL * len(places) + 1.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(places), len(sources), squeeze=False)
    for line, place in zip(axes, places, strict=True):
        rows = placed[placed["place"] == place]
        limits = _limits(rows)
        for axis, source in zip(line, sources, strict=True):
            _draw_panel(axis, rows[rows["source"] == source], source, sets, limits)
        line[0].set_ylabel(f"{place}\nreal AUROC")
    _finish(figure, axes, title, sets)
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


def _limits(points: pd.DataFrame) -> tuple[float, float]:
    values = points[["synthetic_auroc", "real_auroc"]].to_numpy()
    return max(0.0, float(values.min()) - MARGIN), min(1.0, float(values.max())) + MARGIN


def _draw_panel(axis: "Axes", points: pd.DataFrame, source: str, sets: list[str], limits: tuple[float, float]) -> None:
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
    axis.spines["right"].set_visible(False)
    tau = panel_tau(points)
    axis.set_title(f"{source}\n" + _tau_text(tau), fontsize=12)


def _tau_text(tau: float) -> str:
    # adding zero turns -0.0 into 0.0
    return f"τ = {round(tau, 2) + 0.0:+.2f}".replace("-", "−") if np.isfinite(tau) else "no ranking"


def _finish(figure: "Figure", axes: Any, title: str, sets: list[str]) -> None:
    from matplotlib.lines import Line2D

    for axis in axes[-1]:
        axis.set_xlabel("synthetic AUROC")
    styles = [STYLES[number % len(STYLES)] for number in range(len(sets))]
    handles = [
        Line2D([], [], color=colour, marker=shape, linewidth=0, markeredgecolor="white", markersize=9, label=name)
        for name, (colour, shape) in zip(sets, styles, strict=True)
    ]
    figure.suptitle(f"{title}\nlarge: mean over runs; small: single runs", fontweight="bold")
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(sets)), frameon=False)
