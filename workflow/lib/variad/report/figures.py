"""What the figures share: names, colours, markers and fonts, and files whose bytes depend on what they show alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from variad.core.files import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
