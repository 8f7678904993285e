"""Counting in many ascending arrays as if they were one, without joining them.

The values are gone through in pieces, each a range of values that is gathered from all parts and sorted: pieces fit the
processor's cache, so this is faster than sorting everything at once, and memory stays that of the parts.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PIECE = 1 << 20  # values, about
_SAMPLES = 64  # values of a piece that choose its bounds


class Piece(NamedTuple):
    """All values from ``low`` on and below ``high``, ascending; the first and last piece are open to their side."""

    low: float
    high: float
    values: Array


def pieces(parts: Sequence[Array], size: int = PIECE) -> Iterator[Piece]:
    """The values of ascending, finite ``parts`` in ascending pieces of about ``size`` values."""
    bounds = _bounds(parts, size)
    cuts = [np.concatenate([[0], np.searchsorted(part, bounds), [part.size]]) for part in parts]
    edges = [-np.inf, *bounds.tolist(), np.inf]
    for index in range(len(edges) - 1):
        values = np.concatenate([part[cut[index] : cut[index + 1]] for part, cut in zip(parts, cuts, strict=True)])
        values.sort()
        yield Piece(edges[index], edges[index + 1], values)


def counts_around(
    parts: Sequence[Array], values: Array, size: int = PIECE
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many entries of ``parts`` are below, and how many at or below, each of ascending ``values [K]``."""
    below = np.zeros(values.size, np.int64)
    through = np.zeros(values.size, np.int64)
    seen = 0
    for piece in pieces(parts, size):
        # Bounds of the values' own type, or all values would be converted to another.
        inside = slice(*np.searchsorted(values, np.array([piece.low, piece.high], values.dtype)))
        below[inside] = seen + np.searchsorted(piece.values, values[inside], side="left")
        through[inside] = seen + np.searchsorted(piece.values, values[inside], side="right")
        seen += piece.values.size
    return below, through


def at_ranks(parts: Sequence[Array], ranks: Array, size: int = PIECE) -> Array:
    """The values at ascending ``ranks [K]`` of all entries of ``parts`` in ascending order, 0 is the smallest."""
    found, seen = [], 0
    for piece in pieces(parts, size):
        here = ranks[(ranks >= seen) & (ranks < seen + piece.values.size)]
        found.append(piece.values[here - seen])
        seen += piece.values.size
    return np.concatenate(found)


def _bounds(parts: Sequence[Array], size: int) -> Array:
    step = max(1, size // _SAMPLES)
    sample = np.sort(np.concatenate([part[step // 2 :: step] for part in parts]))
    return np.unique(sample[_SAMPLES::_SAMPLES])
