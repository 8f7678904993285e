"""What comes out of an inspection: each photograph's row, heat map and place on the page; and the count."""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.inspect.answers import SEEN
from variad.inspect.page import GoodPhotograph, PageEntry, write_page
from variad.inspect.pictures import heat_map, heat_map_name, nearest_good, save_heat_map, scale_of, small_map, thumbnail
from variad.inspect.results import ResultStream, Row, failed_row, row_of

if TYPE_CHECKING:
    from variad.inspect.inspector import Inspection, Inspector
    from variad.inspect.regions import Region

Pixels = NDArray[np.uint8]  # [H, W, 3], RGB
ANSWERS = ("good", "look", "bad")
OK, UNREAD, ABOVE = 0, 2, 3  # exit statuses


@dataclass
class Tally:
    """What was found so far.

    Attributes:
        limit: answer, or calibrated score, from which on a photograph is one too many; None for none.
        scores: of photographs that were not seen in training, as only these can tell that scores have moved.
        remarks: by remark, the photographs that have it.
        above: how many were beyond the limit.
    """

    limit: str | float | None
    answers: Counter[str] = field(default_factory=Counter)
    scores: list[float] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    above: int = 0

    def add(self, row: Row) -> None:
        """Count a row."""
        if row["error"]:
            self.failures.append((row["path"], row["error"]))
            return
        self.answers[row["answer"] or "without an answer"] += 1
        if not was_seen(row):
            self.scores.append(row["score"])
        self.above += self._is_above(row)
        if row["remark"]:
            self.remarks.setdefault(row["remark"], []).append(row["path"])

    def _is_above(self, row: Row) -> bool:
        if isinstance(self.limit, float):
            return row["calibrated"] is not None and row["calibrated"] > self.limit
        return self.limit is not None and row["answer"] in ANSWERS[ANSWERS.index(self.limit) :]

    @property
    def count(self) -> int:
        """Photographs that were inspected."""
        return self.answers.total()

    @property
    def status(self) -> int:
        """The command's exit status."""
        return ABOVE if self.above else UNREAD if self.failures else OK

    def sentence(self) -> str:
        """How many photographs there were, and with which answer."""
        words = {"look": "to look at"}
        kinds = [*ANSWERS] if not self.answers["without an answer"] else ["without an answer"]
        told = ", ".join(f"{self.answers[kind]} {words.get(kind, kind)}" for kind in kinds)
        unread = f"; {len(self.failures)} could not be inspected" if self.failures else ""
        return f"{_photographs(self.count)}: {told}{unread}"

    def remark_sentences(self) -> list[str]:
        """Each remark, with how many photographs have it and the first of these."""
        return [f"{_photographs(len(paths))} ({paths[0]}): {remark}." for remark, paths in self.remarks.items()]


def was_seen(row: Row) -> bool:
    """Whether a row is of a photograph that the detector was trained on."""
    return SEEN in (row["remark"] or "")


class Outputs:
    """Makes what was asked for of each photograph.

    Args:
        base: folder that heat maps are named from.
        kind: of the rows, ``csv`` or ``jsonl``.
        heatmaps: the heat maps' folder; None for none.
        page: whether there will be one.
    """

    def __init__(
        self, inspector: "Inspector", tally: Tally, base: str, kind: str, heatmaps: Path | None, page: bool = False
    ) -> None:
        self._inspector, self._tally, self._base, self._heatmaps = inspector, tally, base, heatmaps
        self._stream = _standard_output(kind)
        self._scale = scale_of(inspector)
        self._entries: list[PageEntry] | None = [] if page else None

    def row(self, found: Any) -> Row:
        """The row of an inspected photograph, once its pictures are made, or of one that could not be read."""
        if hasattr(found, "reason"):
            return failed_row(found.path, found.reason)
        regions = self._inspector.regions(found)
        row = row_of(found, self._inspector.answers, regions)
        try:
            if self._heatmaps is not None or self._entries is not None:
                pixels = self._read(found)
                self._draw(found, pixels, regions)
                if self._entries is not None:
                    self._entries.append(self._entry(found, row, pixels))
        except Gone as error:
            return failed_row(found.path, str(error))
        return row

    def pass_on(self, row: Row, bar: Any = None) -> None:
        """Count a row and write it."""
        self._tally.add(row)
        if bar is not None and not bar.disable and sys.stdout.isatty():
            bar.clear()
        self._stream.write(row)

    def draw(self, found: "Inspection", regions: "Sequence[Region]") -> None:
        """Write the heat map, if there are to be any.

        Raises:
            Gone: the photograph cannot be read any more.
        """
        if self._heatmaps is not None:
            self._draw(found, self._read(found), regions)

    def _read(self, found: "Inspection") -> Pixels:
        try:
            return self._inspector.bundle.pixels.read(found.path)
        except UserError as error:
            raise Gone(str(error)) from error

    def _draw(self, found: "Inspection", pixels: Pixels, regions: "Sequence[Region]") -> None:
        if self._heatmaps is None:
            return
        name = os.path.relpath(found.path, self._base)
        mark = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
        sheet = heat_map(self._inspector, found, pixels, regions, self._scale)
        save_heat_map(self._heatmaps / heat_map_name(name, mark), sheet)

    def _entry(self, found: "Inspection", row: Row, pixels: Pixels) -> PageEntry:
        near = nearest_good(pixels, self._inspector.shots)
        picture, values = thumbnail(pixels, found.height, found.width), small_map(self._inspector, found)
        return PageEntry(row, found.height, found.width, picture, values, near, row["remark"] or "")

    def write_page(self, target: Path, notes: Sequence[str]) -> None:
        """Write the page of all photographs that had a row."""
        bundle = self._inspector.bundle
        names = [str(image["image_id"]) for image in bundle.provenance["training_images"]]
        shots = zip(names, self._inspector.shots, strict=False)
        good = [GoodPhotograph(name, thumbnail(shot, *shot.shape[:2])) for name, shot in shots]
        told = [f"{self._tally.sentence()}.", *notes]
        title = f"{bundle.product}, inspected"
        write_page(target, title, self._entries or [], told, self._tally.failures, good, self._scale)


class Gone(Exception):
    """A photograph that was scored, and could not be read a second time."""


def common_folder(photographs: Sequence[str]) -> str:
    """The deepest folder that holds all photographs: heat maps are named from there on."""
    return os.path.commonpath([os.path.abspath(Path(path).parent) for path in photographs])  # noqa: PTH100, without '..'


def _standard_output(kind: str) -> ResultStream:
    if hasattr(sys.stdout, "reconfigure"):
        # names of files may hold bytes that are no text; they leave as they came
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    return ResultStream(sys.stdout, kind)


def _photographs(count: int) -> str:
    return f"{count:,} {'photograph' if count == 1 else 'photographs'}"
