"""Figures as PNG and SVG whose bytes depend on what they show alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from variad.files import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = {"font.size": 13, "svg.hashsalt": "variad", "axes.spines.top": False}
NARROWEST = 9.0  # inches, so that a title fits over a single panel


def save_figure(figure: "Figure", targets: Iterable[str | Path]) -> None:
    """Write a figure to every target, by its suffix; call it within ``matplotlib.rc_context(STYLE)``."""
    for target in targets:
        kind = Path(target).suffix.lstrip(".")
        with writing(target) as temporary:
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(temporary, format=kind, dpi=110, metadata=metadata)
