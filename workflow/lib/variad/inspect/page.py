"""The page of an inspection: one HTML file that opens from disk, with every photograph, map and region inside it.

It holds thousands: pictures are small, maps are 8-bit numbers that the browser colours, and only those that are on the
screen become elements. A user's names reach it as JSON and are set as text, never as markup.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variad.core.files import writing
from variad.inspect.pictures import MapScale
from variad.inspect.results import Row
from variad.report.drawing import colour_scale, lookup_table
from variad.report.markup import ASSETS as REPORT_ASSETS
from variad.report.markup import script_json, text

ASSETS = Path(__file__).resolve().parent / "assets"
SCRIPTS = (REPORT_ASSETS / "dom.js", REPORT_ASSETS / "address.js", REPORT_ASSETS / "line.js", ASSETS / "report.js")
_ENTRIES = "<!-- entries -->"


@dataclass(frozen=True)
class PageEntry:
    """A photograph on the page.

    Attributes:
        row: as ``results.row_of`` gives it; ``answer``, ``multiple``, ``calibrated`` and ``threshold`` may be None.
        height, width: of the photograph, pixels.
        picture: a small JPEG.
        values: the anomaly map, small, ``[h, w]``.
        nearest: which of the page's good photographs is most like it.
        remark: a phrase, or nothing.
    """

    row: Row
    height: int
    width: int
    picture: bytes
    values: NDArray[np.float32]
    nearest: int | None = None
    remark: str = ""


@dataclass(frozen=True)
class GoodPhotograph:
    """One that the detector was trained on: its name and a small JPEG."""

    name: str
    picture: bytes


def write_page(
    target: str | Path,
    title: str,
    entries: Sequence[PageEntry],
    notes: Iterable[str] = (),
    unread: Sequence[tuple[str, str]] = (),
    good: Sequence[GoodPhotograph] = (),
    scale: MapScale | None = None,
) -> None:
    """Write the page, in one go.

    Args:
        notes: sentences under the title.
        unread: paths, and why they could not be inspected.
        good: what ``PageEntry.nearest`` counts in.
        scale: of the maps' colours; None takes that of all maps together.

    Raises:
        UserError: its folder cannot be written to.
    """
    low, high = scale or colour_scale([entry.values for entry in entries])
    about = {
        "low": low,
        "high": high,
        "colours": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in lookup_table()],
        "unread": [{"path": path, "reason": reason} for path, reason in unread],
        "good": [{"name": one.name, "picture": _base64(one.picture)} for one in good],
    }
    page = Template((ASSETS / "report.html").read_text("utf-8")).substitute(
        title=text(title),
        notes="\n".join(f"<p>{text(note)}</p>" for note in notes),
        style=(REPORT_ASSETS / "gallery.css").read_text("utf-8") + (ASSETS / "report.css").read_text("utf-8"),
        script="".join(path.read_text("utf-8") for path in SCRIPTS),
        about=script_json(about),
    )
    head, _, tail = page.partition(_ENTRIES)  # no user's text holds a tag
    # a note may name a suffix of bytes that are no text
    with writing(target) as temporary, open(temporary, "w", encoding="utf-8", errors="replace", newline="\n") as stream:
        stream.write(head)
        for number, entry in enumerate(entries):  # one at a time, as together they are tens of megabytes
            stream.write((",\n" if number else "") + script_json(_told(entry, low, high)))
        stream.write(tail)


def _told(entry: PageEntry, low: float, high: float) -> dict[str, Any]:
    levels = np.round(np.clip((entry.values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    names = ("path", "score", "calibrated", "answer", "threshold", "multiple", "boxes")
    return {
        **{name: entry.row[name] for name in names},
        "height": entry.height,
        "width": entry.width,
        "picture": _base64(entry.picture),
        "map": {"rows": levels.shape[0], "columns": levels.shape[1], "levels": _base64(levels.tobytes())},
        "nearest": entry.nearest,
        "remark": entry.remark,
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
