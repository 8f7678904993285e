"""What the figures share: names, colours, markers and fonts, and files whose bytes depend on what they show alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from variad.core.files import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


SCENARIOS = {"one_shot": "One-shot", "few_shot": "Few-shot", "full_shot": "Full-shot"}
# Okabe and Ito's colours without yellow, which is too faint on white; the markers differ as well.
STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#000000", "X"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#56B4E9", "v"),
    ("#E69F00", "P"),
    ("#777777", "*"),
)
DODGE = 0.76  # share of a category's band that its markers use
NARROWEST = 9.0  # inches, so that a title fits over a single panel
COLOURS = {"blue": "#0072B2", "orange": "#D55E00", "green": "#009E73", "pink": "#CC79A7", "black": "#000000"}
DPI = 110


@contextmanager
def drawing_style() -> Iterator[None]:
    """Matplotlib's settings of these figures; the same table gives the same files."""
    import matplotlib as mpl

    bare = {"axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context({"font.size": 13, "svg.hashsalt": "variad", **bare}):
        yield


def save(figure: "Figure", *targets: str | Path) -> None:
    """Save a figure under each name, by its suffix ``.png`` or ``.svg``."""
    for target in targets:
        kind = Path(target).suffix.lstrip(".")
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        with writing(target) as temporary:
            figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)


def light_grid(axis: "Axes", which: Literal["x", "y"]) -> None:
    """Grey lines behind the marks, along ``x`` or ``y``."""
    axis.grid(axis=which, color="#DDDDDD", zorder=0)
    axis.set_axisbelow(True)


def empty_figure(text: str) -> "Figure":
    """A figure that says why there is nothing to draw."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2))
    figure.text(0.5, 0.5, text, ha="center")
    return figure


def legend_markers(names: Sequence[str], linewidth: float = 2, size: float = 8) -> list["Line2D"]:
    """Handles of a legend, one of ``STYLES`` a name."""
    from matplotlib.lines import Line2D

    styles = [STYLES[number % len(STYLES)] for number in range(len(names))]
    return [
        Line2D([], [], color=colour, marker=shape, linewidth=linewidth, markeredgecolor="white", markersize=size,
               label=name)
        for name, (colour, shape) in zip(names, styles, strict=True)
    ]  # fmt: skip


def draw_mark(
    axis: "Axes", value: float, interval: tuple[float, float], y: float, style: int = 0, size: float = 8
) -> None:
    """A marker at ``value`` over its interval (NaN if unknown), both at height ``y``, in one of ``STYLES``."""
    colour, shape = STYLES[style % len(STYLES)]
    if not np.isnan(interval).any():
        axis.plot(interval, [y, y], color=colour, linewidth=2, zorder=2)
    axis.plot([value], [y], shape, color=colour, markersize=size, markeredgecolor="white", zorder=3)
