"""Photographs one at a time, as somebody hands them in, and what stays of the last hundred of them."""

import threading
import time
from collections import OrderedDict
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from variad.core.errors import UserError
from variad.inspect.pictures import MapScale, scale_of, shrunk_size
from variad.inspect.results import Row, row_of
from variad.report.drawing import lookup_table

if TYPE_CHECKING:
    from variad.inspect.inspector import Inspection, Inspector

KEPT = 100  # results
PHOTO_SIDE, MAP_SIDE = 960, 480  # pixels of the longer side of what is kept
QUALITY = 85


class Kept(NamedTuple):
    """What stays of a photograph.

    Attributes:
        facts: as JSON takes them: the row of ``results.row_of`` and its ``boxes``, ``number``, ``pixels`` (height and
            width), ``look`` (the lower threshold), ``words`` (of the calibrated score) and ``seconds``.
        photo: JPEG; heat: PNG of 256 colours, the more opaque the higher the map.
    """

    facts: dict[str, Any]
    photo: bytes
    heat: bytes


class Examiner:
    """Inspects photographs, one at a time whoever asks, and keeps the last hundred results.

    Attributes:
        scale: of the maps' colours; None gives each its own.
    """

    def __init__(self, inspector: "Inspector") -> None:
        self.inspector = inspector
        self._one_at_a_time, self._results_lock = threading.Lock(), threading.Lock()
        self.scale = scale_of(inspector)
        self._results: OrderedDict[int, Kept] = OrderedDict()
        self._count = 0

    def examine(self, path: str, name: str) -> Kept:
        """Inspect a photograph and keep its result.

        Args:
            path: where it lies for now; name: what its user calls it.

        Raises:
            UserError: it cannot be read; the sentence has its name, not its path.
        """
        with self._one_at_a_time:
            begin = time.perf_counter()
            try:
                found = self.inspector.inspect(path)
                photo = self._photo(found)
            except UserError as error:
                raise UserError(str(error).replace(path, name)) from error
            heat = self._heat(found)
            facts = self._facts(replace(found, path=name)) | {"seconds": time.perf_counter() - begin}
        with self._results_lock:
            self._count += 1
            kept = Kept({"number": self._count, **facts}, photo, heat)
            self._results[self._count] = kept
            if len(self._results) > KEPT:
                self._results.popitem(last=False)
        return kept

    def stop(self, patience: float) -> None:
        """Begin no further inspection, and wait some seconds for the one that is at work."""
        self._one_at_a_time.acquire(timeout=patience)

    def last(self) -> list[dict[str, Any]]:
        """The facts of what is kept, the latest first."""
        with self._results_lock:
            return [kept.facts for kept in reversed(self._results.values())]

    def kept(self, number: int) -> Kept | None:
        """A result, if it is still there."""
        with self._results_lock:
            return self._results.get(number)

    def _facts(self, found: "Inspection") -> Row:
        answers = self.inspector.answers
        row = row_of(found, answers, self.inspector.regions(found))
        words = in_words(row["calibrated"], answers.count)
        return row | {"pixels": [found.height, found.width], "look": answers.look, "words": words}

    def _photo(self, found: "Inspection") -> bytes:
        height, width = shrunk_size(found.height, found.width, PHOTO_SIDE)
        pixels = Image.fromarray(self.inspector.bundle.pixels.read(found.path))
        return _encoded(pixels.resize((width, height), Image.Resampling.BOX), "JPEG", quality=QUALITY)

    def _heat(self, found: "Inspection") -> bytes:
        height, width = shrunk_size(found.height, found.width, MAP_SIDE)
        return heat_picture(self.inspector.anomaly_map(replace(found, height=height, width=width)), self.scale)


def heat_picture(values: NDArray[np.float32], scale: MapScale | None) -> bytes:
    """A map ``[h, w]`` as an 8-bit PNG whose 256 colours go from transparent to opaque.

    Args:
        scale: None takes the lowest and highest value of this map.
    """
    low, high = scale or (float(values.min()), float(values.max()))
    levels = np.clip((values - low) / max(high - low, 1e-30), 0, 1) * 255
    picture = Image.fromarray(np.round(levels).astype(np.uint8)).convert("P")
    picture.putpalette(lookup_table().tobytes())
    return _encoded(picture, "PNG", transparency=bytes(range(256)))


def in_words(calibrated: float | None, count: int) -> str:
    """What a calibrated score says, as a sentence.

    Args:
        calibrated: the share of held-out good photographs with a lower score.
        count: of these photographs.
    """
    if calibrated is None or not count:
        return "There is no held-out good photograph to compare its score with."
    everyone = f"all {count:,} held-out good photographs" if count > 1 else "the only held-out good photograph"
    if calibrated >= 1:
        return f"Its score is higher than that of {everyone}."
    if calibrated <= 0:
        return f"Its score is lower than that of {everyone}."
    share = min(99, max(1, round(100 * calibrated)))
    return f"Its score is higher than that of {share} % of {count:,} held-out good photographs."


def _encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
