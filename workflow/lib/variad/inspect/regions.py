"""Where a photograph is anomalous: connected parts of its map above the pixel threshold, in its own pixels.

A map has one number for each patch, and a photograph may have 20 million pixels. The map at the photograph's size is a
product of three small matrices (``detectors.anomaly_map``), so it is made a strip of rows at a time, and only where
something can be above the threshold; parts that reach from strip to strip are joined.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variad.detectors.anomaly_map import MapSize, full_size_map, full_size_matrices

STRIP = 2**20  # pixels of the map that are in memory at once
_SLACK = 1e-6  # relative, of rounding


@dataclass(frozen=True)
class Region:
    """A connected part of a photograph: its box, area and highest value, in the photograph's own pixels.

    Attributes:
        left, top, width, height: the smallest box around it.
        area: how many pixels it has.
        peak: highest value of the anomaly map in it, at ``peak_x``, ``peak_y``, the first of several by row.
    """

    left: int
    top: int
    width: int
    height: int
    area: int
    peak: float
    peak_x: int
    peak_y: int


def find_regions(
    patch_map: NDArray[np.float32], size: MapSize, threshold: float | None, smallest: int | None = None
) -> list[Region]:
    """The regions of a photograph in which its anomaly map is above a threshold, the highest peak first.

    They are those of ``scipy.ndimage.label`` on the full map: pixels are connected by their sides.

    Args:
        patch_map: ``[h, w]``, as a detector gives it.
        size: of the photograph, and how the detector saw it.
        threshold: in the unit of the map; None finds nothing.
        smallest: area in pixels of the photograph below which a region is left out; by default that of one pixel that
            the detector saw.
    """
    if threshold is None:
        return []
    if smallest is None:
        smallest = max(1, size.height * size.width // size.resolution**2)
    parts: list[_Part] = []
    joined = _Joined()
    above = np.zeros(0, np.int64)  # numbers of the parts along the last row of the strip above, -1 where there is none
    box = _where(patch_map, size, threshold)
    for top, values in _strips(patch_map, size, box):
        numbers = _label(values, values > threshold, top, box[1].start, parts)
        if len(above):
            for pair in {(int(a), int(b)) for a, b in zip(above, numbers[0], strict=True) if a >= 0 and b >= 0}:
                joined.join(*pair)
        above = numbers[-1]
    regions: dict[int, _Part] = {}
    for number, part in enumerate(parts):
        root = joined.root(number)
        regions[root] = regions[root].and_(part) if root in regions else part
    found = [part.region() for part in regions.values() if part.area >= smallest]
    return sorted(found, key=lambda region: (-region.peak, region.top, region.left))


def _where(patch_map: NDArray[np.float32], size: MapSize, threshold: float) -> tuple[slice, slice]:
    """Rows and columns of the photograph outside of which nothing is above the threshold.

    The map at the photograph's size is interpolated from the one at the detector's resolution: it is above a
    threshold only between two pixels of which one is.
    """
    side = size.resolution
    small = full_size_map(patch_map, size._replace(height=side, width=side))
    high = small > threshold - _SLACK * abs(threshold)
    rows, columns = (
        _reach(np.flatnonzero(high.any(axis=1 - axis)), side, target)
        for axis, target in enumerate((size.height, size.width))
    )
    return rows, columns


def _reach(places: NDArray[np.intp], source: int, target: int) -> slice:
    """The pixels that are interpolated from any of the ``places`` of ``source``, and a few more."""
    if not len(places):
        return slice(0, 0)
    first, last = (places[0] - 1) * target / source, (places[-1] + 2) * target / source
    return slice(max(0, int(first) - 1), min(target, int(np.ceil(last)) + 1))


def _strips(
    patch_map: NDArray[np.float32], size: MapSize, box: tuple[slice, slice]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first row, full map from there on) of the strips of a box, from top to bottom."""
    of_rows, of_columns = full_size_matrices(patch_map.shape, size)
    rows, columns = box
    height = max(1, STRIP // max(1, columns.stop - columns.start))
    for top in range(rows.start, rows.stop, height):
        strip = of_rows[top : min(top + height, rows.stop)]
        yield top, (strip @ patch_map @ of_columns[columns].T).astype(np.float32)


@dataclass
class _Part:
    """What a region has in one strip; bottom and right are one past its last pixels."""

    top: int
    left: int
    bottom: int
    right: int
    area: int
    peak: float
    peak_y: int
    peak_x: int

    def and_(self, other: "_Part") -> "_Part":
        """Both together; ``other`` lies below, or beside in the same strip."""
        first = max(self, other, key=lambda part: (part.peak, -part.peak_y, -part.peak_x))
        return _Part(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
            self.area + other.area,
            first.peak,
            first.peak_y,
            first.peak_x,
        )

    def region(self) -> Region:
        box = (self.left, self.top, self.right - self.left, self.bottom - self.top)
        return Region(*box, self.area, self.peak, self.peak_x, self.peak_y)


def _label(
    values: NDArray[np.float32], high: NDArray[np.bool_], top: int, left: int, parts: list[_Part]
) -> NDArray[np.int64]:
    """Add the parts of a strip to ``parts``; the number of the part of every pixel, -1 of none, ``[rows, columns]``."""
    from scipy.ndimage import find_objects, label

    labels, count = label(high)
    if not count:
        return np.full(high.shape, -1, np.int64)
    places = np.flatnonzero(labels)
    of_place, value = labels.ravel()[places] - 1, values.ravel()[places]
    areas = np.bincount(of_place, minlength=count)
    peaks = np.full(count, -np.inf, np.float32)
    np.maximum.at(peaks, of_place, value)
    hits = np.flatnonzero(value == peaks[of_place])
    _, first = np.unique(of_place[hits], return_index=True)
    where: Any = np.unravel_index(places[hits[first]], high.shape)
    start = len(parts)
    for number, (rows, columns) in enumerate(find_objects(labels)):
        parts.append(
            _Part(
                top + rows.start,
                left + columns.start,
                top + rows.stop,
                left + columns.stop,
                int(areas[number]),
                float(peaks[number]),
                top + int(where[0][number]),
                left + int(where[1][number]),
            )
        )
    return np.where(labels > 0, labels.astype(np.int64) - 1 + start, -1)


class _Joined:
    """Which numbers belong together (union and find)."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    def root(self, number: int) -> int:
        """The lowest number of those that belong together."""
        while number in self._above:
            number = self._above[number]
        return number

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        if low != high:
            self._above[high] = low
