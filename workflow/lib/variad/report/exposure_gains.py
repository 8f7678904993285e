"""The figure of outlier exposure: what every network gains over the frozen one, with 95 % intervals."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from variad.exposure.names import FROZEN, PLAIN
from variad.report.figure_files import NARROWEST, STYLE, save_figure
from variad.report.styles import DODGE, STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONTROLS = {"rotation": "no exposure: rotation", "relabelled": "no exposure: relabelled"}
BAND, CONTROL_BAND = 0.55, "#EEF1F5"


def draw_exposure(png: str | Path, svg: str | Path, table: pd.DataFrame) -> None:
    """Draw the figure twice from table ``exposure`` alone."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        save_figure(exposure_figure(table), (png, svg))


def exposure_figure(table: pd.DataFrame) -> "Figure":
    """A panel a category, a row a network, a marker a support set."""
    from matplotlib.figure import Figure

    shown = table[table["objective"] != FROZEN]
    places = list(table[["dataset", "category"]].drop_duplicates().itertuples(index=False, name=None))
    networks = list(dict.fromkeys(map(network_label, shown.to_dict("records"))))
    supports = list(dict.fromkeys(table["support"]))
    size = (max(NARROWEST, 3.4 + 3.3 * len(places)), BAND * max(1, len(networks)) + 2.1)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, max(1, len(places)), squeeze=False, sharey=True)[0]
    for axis, place in zip(axes, places, strict=False):
        rows = table[(table["dataset"] == place[0]) & (table["category"] == place[1])]
        _draw_panel(axis, rows, networks, supports)
    _finish(figure, axes, networks, supports)
    return figure


def network_label(row: dict[Any, Any]) -> str:
    """A network in words: ``style_mix, classification``, or which fine-tuning without exposure."""
    return CONTROLS.get(str(row["objective"]), f"{row['source']}, {row['objective']}")


def _draw_panel(axis: "Axes", rows: pd.DataFrame, networks: list[str], supports: list[str]) -> None:
    for row in rows[rows["objective"] != FROZEN].to_dict("records"):
        line = supports.index(row["support"])
        y = networks.index(network_label(row)) + DODGE * ((line + 0.5) / len(supports) - 0.5)
        if pd.isna(row["gain"]):
            continue
        colour, shape = STYLES[line % len(STYLES)]
        axis.plot([row["gain_low"], row["gain_high"]], [y, y], color=colour, linewidth=2, zorder=2)
        axis.plot([row["gain"]], [y], shape, color=colour, markersize=8, markeredgecolor="white", zorder=3)
    for place, name in enumerate(networks):
        if name in CONTROLS.values():
            axis.axhspan(place - 0.5, place + 0.5, color=CONTROL_BAND, zorder=0)
    axis.axvline(0, color="#333333", linewidth=1, zorder=1)
    axis.grid(axis="x", color="#DDDDDD", zorder=0)
    axis.set_axisbelow(True)
    axis.spines["right"].set_visible(False)
    axis.set_title(_title(rows), fontweight="bold", fontsize=12)


def _title(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    frozen = rows[(rows["objective"] == FROZEN) & (rows["support"] == PLAIN)]["mean"]
    known = f"\nfrozen: {frozen.iloc[0]:.1f} %" if len(frozen) else ""
    return f"{first['dataset']}, {first['category']}{known}"


def _finish(figure: "Figure", axes: Any, networks: list[str], supports: list[str]) -> None:
    from matplotlib.lines import Line2D

    axes[0].set_yticks(range(len(networks)), networks)
    axes[0].set_ylim(max(1, len(networks)) - 0.5, -0.5)
    for axis in axes:
        axis.set_xlabel("gain (percentage points)")
    styles = [STYLES[number % len(STYLES)] for number in range(len(supports))]
    handles = [
        Line2D([], [], color=colour, marker=shape, linewidth=2, markeredgecolor="white", markersize=8, label=label)
        for (colour, shape), label in zip(styles, [_support_label(name) for name in supports], strict=True)
    ]
    figure.suptitle("Gain in image AUROC over the frozen network, 95 % intervals", fontweight="bold")
    if len(supports) > 1:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(supports), frameon=False)


def _support_label(name: str) -> str:
    return "plain support set" if name == PLAIN else f"support set {name}"
