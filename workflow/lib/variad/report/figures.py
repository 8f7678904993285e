"""What the figures share: names, colours, markers and fonts, and files whose bytes depend on what they show alone."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from variad.core.files import writing

# Okabe and Ito's colours without yellow, which is too faint on white; the markers differ as well.
_NAMES = "blue orange black green pink sky amber grey"
_CODES = "#0072B2 #D55E00 #000000 #009E73 #CC79A7 #56B4E9 #E69F00 #777777"
COLOURS = dict(zip(_NAMES.split(), _CODES.split(), strict=True))
_SHAPES = "osX^DvP*"
# once all colours are taken they come again with other shapes, so that no two of 64 are alike
STYLES = tuple(
    (colour, _SHAPES[(number + turn) % len(_SHAPES)])
    for turn in range(0, 3 * len(_SHAPES), 3)
    for number, colour in enumerate(COLOURS.values())
)
DODGE = 0.76  # share of a category's band that its markers use
NARROWEST = 9.0  # inches, so that a title fits over a single panel
DPI = 110


@contextmanager
def drawn(
    targets: Iterable[str | Path],
    size: tuple[float, float],
    title: str = "",
    layout: Any = "constrained",
    dpi: int = DPI,
    **font: Any,
) -> Iterator[Figure]:
    """A figure that is saved under each of its names, PNG or SVG by their suffix, once it is drawn.

    Args:
        size: inches; dpi: dots of a PNG's inch.
        title: above all panels, bold; ``font``: its other properties.
    """
    bare = {"axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context({"font.size": 13, "svg.hashsalt": "variad", **bare}):
        figure = Figure(figsize=size, layout=layout)
        yield figure
        if title:
            figure.suptitle(title, fontweight="bold", **font)
        for target in targets:
            kind = Path(target).suffix.lstrip(".")
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            with writing(target) as temporary:
                figure.savefig(temporary, format=kind, dpi=dpi, metadata=metadata)


def draw_nothing(targets: Iterable[str | Path], why: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    with drawn(targets, (8, 2), layout=None) as figure:
        figure.text(0.5, 0.5, why, ha="center")
    return figure


def grid_shape(panels: int, most_columns: int) -> tuple[int, int]:
    """Lines and columns of a grid of panels, at least one of each."""
    columns = min(most_columns, max(1, panels))
    return max(1, -(-panels // columns)), columns


def grid_of_panels(figure: Figure, lines: int, columns: int, shown: int, **shared: Any) -> list[Axes]:
    """The axes of a grid, line by line; those after the first ``shown`` stay empty."""
    axes = list(figure.subplots(lines, columns, squeeze=False, **shared).flat)
    for axis in axes[shown:]:
        axis.set_visible(False)
    return axes


def light_grid(axis: Axes, which: Literal["x", "y"]) -> None:
    """Grey lines behind the marks, along ``x`` or ``y``."""
    axis.grid(axis=which, color="#DDDDDD", zorder=0)
    axis.set_axisbelow(True)


def legend_markers(names: Sequence[str], linewidth: float = 2, size: float = 8) -> list[Line2D]:
    """Handles of a legend, one of ``STYLES`` a name."""
    styles = [STYLES[number % len(STYLES)] for number in range(len(names))]
    return [
        Line2D([], [], color=colour, marker=shape, linewidth=linewidth, markeredgecolor="white", markersize=size,
               label=name)
        for name, (colour, shape) in zip(names, styles, strict=True)
    ]  # fmt: skip


def legend_below(figure: Any, handles: Sequence[Any], most: int, **about: Any) -> None:
    """What marks are, below all panels, in as many columns as the figure is wide enough for, ``most`` at the most."""
    for columns in range(max(1, most), 0, -1):
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, **about)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def draw_mark(
    axis: Axes, value: float, interval: tuple[float, float], y: float, style: int = 0, size: float = 8
) -> None:
    """A marker at ``value`` over its interval (NaN if unknown), both at height ``y``, in one of ``STYLES``."""
    colour, shape = STYLES[style % len(STYLES)]
    if not np.isnan(interval).any():
        axis.plot(interval, [y, y], color=colour, linewidth=2, zorder=2)
    axis.plot([value], [y], shape, color=colour, markersize=size, markeredgecolor="white", zorder=3)
