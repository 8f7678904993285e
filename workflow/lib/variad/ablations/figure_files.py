"""What the curves and dot plots of this package share: fonts, colours, and saving as PNG and SVG."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from variad.files import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours; the markers differ as well
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
