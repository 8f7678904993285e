"""One photograph's result as a row: the same columns in CSV, in JSON lines and in what a watch keeps."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from variad.inspect.answers import Answers
    from variad.inspect.inspector import Inspection
    from variad.inspect.regions import Region

Row = dict[str, Any]  # empty: None
COLUMNS = (
    "path", "score", "calibrated", "answer", "threshold", "multiple",
    "regions", "left", "top", "width", "height", "area", "peak", "remark", "error",
)  # fmt: skip
_EXACT = ("score", "threshold", "peak")
_BOX = ("left", "top", "width", "height", "area", "peak")


def row_of(found: "Inspection", answers: "Answers", regions: "Sequence[Region]") -> Row:
    """The row of a photograph, and ``boxes``, all of its regions, which only JSON has room for.

    ``left`` to ``peak`` are those of the largest region. What is not known is None, ``multiple`` also where the
    threshold is not above 0, as scores of some detectors can be.
    """
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"path": found.path, "score": float(found.score), "calibrated": float(found.calibrated)}
    row |= {"answer": found.answer, "threshold": answers.bad, "multiple": answers.multiple(found.score)}
    row |= {"regions": len(regions), "remark": "; ".join(found.remarks) or None}
    boxes = [{name: getattr(region, name) for name in (*_BOX, "peak_x", "peak_y")} for region in regions]
    if boxes:
        largest = max(boxes, key=lambda box: box["area"])
        row |= {name: largest[name] for name in _BOX}
    known = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
    return known | {"boxes": boxes}


def failed_row(path: str, reason: str) -> Row:
    """The row of what could not be inspected."""
    return dict.fromkeys(COLUMNS) | {"path": path, "error": reason, "boxes": []}


def csv_line(row: Mapping[str, Any], columns: Sequence[str] = COLUMNS) -> str:
    """A line of CSV, with its end; scores, threshold and peak as exact as they are, the rest to six digits."""
    line = io.StringIO()
    # the writer quotes what its own line's end is made of: a carriage return in a name ends a line for readers as well
    csv.writer(line, lineterminator="\r\n").writerow([_cell(name, row[name]) for name in columns])
    return line.getvalue().removesuffix("\r\n") + "\n"


def json_line(row: Mapping[str, Any]) -> str:
    """The same as an object of JSON on a line; without characters beyond ASCII, so that any name passes."""
    rounded = {name: float(_cell(name, value)) if isinstance(value, float) else value for name, value in row.items()}
    return json.dumps(rounded, allow_nan=False) + "\n"


class ResultStream:
    """Rows as they come, to a stream.

    Args:
        kind: ``csv`` or ``jsonl``.
    """

    def __init__(self, stream: TextIO, kind: str) -> None:
        self._stream = stream
        self._line = csv_line if kind == "csv" else json_line
        if kind == "csv":
            self._put(",".join(COLUMNS) + "\n")

    def write(self, row: Row) -> None:
        """Write a row and pass it on at once."""
        self._put(self._line(row))

    def _put(self, line: str) -> None:
        self._stream.write(line)
        self._stream.flush()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value) if name in _EXACT else f"{value:.6g}"
    return str(value)
