"""Exact nearest neighbours in one memory bank for many calls: most of it is ruled out in few dimensions.

Patch features vary in few directions. With an orthonormal basis P of the bank's main ones, and the length that it
leaves over, r(x)^2 = |x|^2 - |Px|^2,

    |q - m|^2 >= |Pq - Pm|^2 + (r(q) - r(m))^2,

the squared distance of the vectors (Px, r(x)). One small matrix product bounds distances from below; a true distance to
the most promising vectors bounds the nearest one from above; only what lies between is computed in full. Bank and
queries are sorted along the first direction, so that a block of queries meets only the part of the bank beside it.
"""

import numpy as np
from numpy.typing import NDArray

from variad.detectors.patchcore.neighbours import nearest

Vectors = NDArray[np.float32]
Wide = NDArray[np.float64]
Places = NDArray[np.int64]

VARIANCE = 0.95  # part of the bank's that the basis spans: measured on ELPV, about ten of 15,680 vectors remain
FEWEST = 14
MOST = 0.5  # of the dimensions; a basis with more saves nothing
SMALLEST_BANK = 4096  # below, plain search is as fast
_SAMPLE = 16  # every so many vectors give the first bound from above
_BLOCK = 56  # queries: their bounds stay in the cache
_PLAIN = 512  # candidates of a query above which all of the bank is searched


class BankSearch:
    """Finds nearest neighbours in a memory bank; the same ones as ``neighbours.nearest``.

    Args:
        bank: float32 ``[M, D]``.
        device: where to search; anything but ``cpu`` is torch's, and searches the whole bank.
    """

    def __init__(self, bank: Vectors, device: str = "cpu") -> None:
        self.bank, self.device = bank, device
        self._basis: Wide | None = None
        if device == "cpu" and len(bank) >= SMALLEST_BANK:
            self._prepare(bank)

    def nearest(self, queries: Vectors, count: int = 1) -> tuple[Vectors, Places]:
        """Euclidean distances and indices of the ``count`` nearest bank vectors, each ``[Q, count]``, nearest first."""
        if self._basis is None or count * _SAMPLE > len(self.bank):
            return nearest(queries, self.bank, count, self.device)
        short, squares = self._described(queries)
        order = short[:, 0].argsort(kind="stable")
        distance, index = np.empty((len(queries), count), np.float32), np.empty((len(queries), count), np.int64)
        # one for all blocks: fresh memory of this size would be given back to the system, and cleared, every time
        space = np.empty(min(_BLOCK, len(queries)) * len(self.bank), np.float32)
        for start in range(0, len(queries), _BLOCK):
            rows = order[start : start + _BLOCK]
            distance[rows], index[rows] = self._search(queries[rows], short[rows], squares[rows], count, space)
        return distance, index

    def _prepare(self, bank: Vectors) -> None:
        self._centre = bank.mean(axis=0, dtype=np.float64)
        rounded = (bank - self._centre).astype(np.float32)
        # float32 is enough: any orthonormal basis gives true bounds, the best one only tighter ones
        variance, directions = np.linalg.eigh((rounded.T @ rounded).astype(np.float64))
        spanned = variance[::-1].cumsum() / max(variance.sum(), np.finfo(float).tiny)
        kept = max(FEWEST, int(np.searchsorted(spanned, VARIANCE)) + 1)
        if kept > MOST * bank.shape[1]:
            return
        self._basis = np.ascontiguousarray(directions[:, : -kept - 1 : -1])
        short, squares = self._described(bank)
        self._place = short[:, 0].argsort(kind="stable")
        self._first = short[self._place, 0]
        self._longest = float(np.sqrt(squares.max()))
        # -2 (Pm, r(m)) and |m|^2: the product with (Pq, r(q)) and 1 is the bound less |q|^2
        self._stored = np.column_stack([-2 * short[:, :-1], squares])[self._place].astype(np.float32)
        self._sample = np.ascontiguousarray(self._stored[::_SAMPLE])

    def _described(self, vectors: Vectors) -> tuple[Wide, Wide]:
        """(Px, r(x), 1), ``[N, kept + 2]``, and |x|^2, ``[N]``, of vectors less the bank's mean."""
        assert self._basis is not None
        centred = vectors - self._centre
        inside = centred @ self._basis
        squares = np.einsum("nd,nd->n", centred, centred)
        left = np.sqrt(np.maximum(squares - np.einsum("nd,nd->n", inside, inside), 0))
        return np.column_stack([inside, left, np.ones(len(inside))]), squares

    def _search(
        self, queries: Vectors, short: Wide, squares: Wide, count: int, space: Vectors
    ) -> tuple[Vectors, Places]:
        rounded = short.astype(np.float32)
        # what rounding to float32 may do to a dot product of this many terms
        slack = 2 * (short.shape[1] + 8) * 2.0**-24 * (np.sqrt(squares) + self._longest) ** 2
        reach = np.sqrt(self._limit(queries, rounded @ self._sample.T, self._place[::_SAMPLE], count) + slack)
        begin = int(np.searchsorted(self._first, (short[:, 0] - reach).min(), side="left"))
        end = int(np.searchsorted(self._first, (short[:, 0] + reach).max(), side="right"))
        bounds = space[: len(queries) * (end - begin)].reshape(len(queries), end - begin)
        np.dot(rounded, self._stored[begin:end].T, out=bounds)
        limit = self._limit(queries, bounds, self._place[begin:end], count)
        below = np.flatnonzero(bounds <= (limit - squares + slack).astype(np.float32)[:, None])
        row, column = np.divmod(below, end - begin)
        return self._among(queries, row, self._place[begin + column], count)

    def _limit(self, queries: Vectors, bounds: Vectors, place: Places, count: int) -> Wide:
        """Squared distances ``[Q]`` that ``count`` bank vectors are within: the lowest bounds of ``place``."""
        one = count == 1  # by far the fastest
        lowest = bounds.argmin(axis=1)[:, None] if one else np.argpartition(bounds, count - 1, axis=1)[:, :count]
        farthest = np.linalg.norm(queries[:, None] - self.bank[place[lowest]], axis=2).max(axis=1)
        return farthest.astype(np.float64) ** 2

    def _among(self, queries: Vectors, row: Places, candidate: Places, count: int) -> tuple[Vectors, Places]:
        """The nearest of the candidates of the queries ``row``; of all of the bank where they are very many."""
        distance, index = np.empty((len(queries), count), np.float32), np.empty((len(queries), count), np.int64)
        candidates = np.bincount(row, minlength=len(queries))
        many = candidates > _PLAIN
        if many.any():
            distance[many], index[many] = nearest(queries[many], self.bank, count)
            row, candidate = row[~many[row]], candidate[~many[row]]
        exact = np.linalg.norm(queries[row] - self.bank[candidate], axis=1)
        order = np.lexsort((candidate, exact, row))  # of equal distances the first in the bank
        starts = candidates[~many].cumsum() - candidates[~many]
        first = order[starts[:, None] + np.arange(count)]
        distance[~many], index[~many] = exact[first], candidate[first]
        return distance, index
