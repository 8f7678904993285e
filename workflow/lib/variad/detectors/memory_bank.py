"""Patches of images and the memory bank of those of normal ones, in numpy: what PatchCore computes on a CPU.

1. ``embed_patches``: every position described by the features around it, of all layers.
2. ``greedy_coreset``: those of many that are kept, so that every other one is near a kept one.
3. ``BankSearch``: exact nearest neighbours in a bank, for many queries.

``patchcore_gpu`` has the same for a GPU."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from variad.core.images import FeatureMaps
from variad.detectors.anomaly_map import bilinear_matrix

Points = NDArray[np.floating[Any]]
Vectors = NDArray[np.float32]
Wide = NDArray[np.float64]
Places = NDArray[np.int64]
Masks = NDArray[np.bool_]

SMALLEST_BANK = 4096  # vectors; below, plain search is as fast
VARIANCE = 0.95  # part of the bank's that the basis spans: measured on ELPV, about ten of 15,680 vectors remain
FEWEST = 14  # dimensions of the basis
MOST = 0.5  # of the dimensions; a basis with more saves nothing
_SAMPLE = 16  # every so many vectors give the first bound from above
_QUERIES = 56  # queries: their bounds stay in the cache
_PLAIN = 512  # candidates of a query above which all of the bank is searched


class Choices(NamedTuple):
    """What describes patches and scores images: the settings of ``PatchCore`` of these names."""

    neighbourhood: int = 3
    distance: str = "euclidean"
    top_fraction: float | None = None

    def patches_of_score(self, patches: int) -> int | None:
        """How many of an image's patches, the farthest ones, are averaged; None is the re-weighted maximum."""
        return None if self.top_fraction is None else max(1, int(self.top_fraction * patches))


def embed_patches(features: FeatureMaps, neighbourhood: int = 3) -> Vectors:
    """Locally aware patch features, ``[N, h, w, sum of C]`` on the first layer's grid.

    Each layer is averaged over 3 x 3 positions (zeros outside; a ``neighbourhood`` of 1 averages nothing), deeper ones
    are brought to the first one's grid (bilinear), and all are concatenated (PatchCore, section 3.1).
    """
    averaged = [_average(values) if neighbourhood == 3 else values for values in features.values()]
    grid = averaged[0].shape[1:3]
    return np.concatenate([averaged[0]] + [_enlarge(values, *grid) for values in averaged[1:]], axis=3)


def _average(values: Vectors) -> Vectors:
    """Sums of three along each axis in turn, ``[N, h, w, C]``."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(9)


def _enlarge(values: Vectors, height: int, width: int) -> Vectors:
    rows = bilinear_matrix(values.shape[1], height).astype(np.float32)
    columns = bilinear_matrix(values.shape[2], width).astype(np.float32)
    return np.einsum("hi,niwc->nhwc", rows, np.einsum("wj,nijc->niwc", columns, values, optimize=True), optimize=True)


def spread(values: NDArray[Any], shown: Masks) -> NDArray[Any]:
    """Values of the places that a mask shows, in order, at their places; zeros elsewhere."""
    found = np.zeros(shown.shape, values.dtype)
    found[shown] = values
    return found


def unit_length(vectors: Vectors) -> Vectors:
    """Vectors ``[..., D]`` of length 1: half the squared distance of two is then 1 - cosine; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, np.finfo(np.float32).tiny)


def random_projection(points: Points, dimensions: int, generator: np.random.Generator) -> Points:
    """Project ``[N, D]`` to ``[N, dimensions]`` with a Gaussian matrix; fewer dimensions than that stay as they are."""
    matrix = projection_matrix(points.shape[1], dimensions, generator)
    return points if matrix is None else points @ matrix.astype(points.dtype)


def projection_matrix(given: int, dimensions: int, generator: np.random.Generator) -> Wide | None:
    """The Gaussian matrix ``[given, dimensions]``; None, and nothing drawn, where there are no more than that."""
    if given <= dimensions:
        return None
    return generator.standard_normal((given, dimensions)) / dimensions**0.5


def greedy_coreset(points: Points, count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Indices ``[count]`` of a greedy k-centre selection, in the order of picking (section 3.2).

    The first pick is random; every further one is the point farthest from all picks so far. One pick costs one
    matrix-vector product and an update of the running minimum.

    Args:
        points: ``[N, D]`` with N >= count >= 1.
    """
    first = int(generator.integers(len(points)))
    # |x - c|^2 = |x|^2 - 2 x.c + |c|^2; centred points keep the cancellation small
    return _pick(points - points.mean(axis=0), count, first)


def _pick(points: Points, count: int, first: int) -> NDArray[np.intp]:
    picks = np.empty(count, np.intp)
    picks[0] = first
    norms = np.einsum("nd,nd->n", points, points)
    nearest = np.full_like(norms, np.inf)
    distance = np.empty_like(norms)
    for step in range(1, count):
        centre = points[picks[step - 1]]
        np.dot(points, -2 * centre, out=distance)
        distance += norms
        distance += centre @ centre
        np.minimum(nearest, distance, out=nearest)
        nearest[picks[step - 1]] = -np.inf  # a pick is never taken twice, duplicates included
        picks[step] = nearest.argmax()
    return picks


class BankSearch:
    """Exact nearest neighbours in one memory bank for many calls, those of ``nearest``: few dimensions rule most out.

    Patch features vary in few directions. With an orthonormal basis P of the bank's main ones, and the length that it
    leaves over, r(x)^2 = |x|^2 - |Px|^2,

        |q - m|^2 >= |Pq - Pm|^2 + (r(q) - r(m))^2,

    the squared distance of the vectors (Px, r(x)). One small matrix product bounds distances from below; a true
    distance to the most promising vectors bounds the nearest one from above; only what lies between is computed in
    full. Bank and queries are sorted along the first direction, so that a block of queries meets only the part of the
    bank beside it.

    Args:
        bank: float32 ``[M, D]``.
    """

    def __init__(self, bank: Vectors) -> None:
        self.bank = bank
        self._basis: Wide | None = None
        self._flat: FlatSearch | None = None
        if len(bank) >= SMALLEST_BANK:
            self._prepare(bank)

    def nearest(self, queries: Vectors, count: int = 1) -> tuple[Vectors, Places]:
        """Euclidean distances and indices of the ``count`` nearest bank vectors, each ``[Q, count]``, nearest first."""
        if self._basis is None or count * _SAMPLE > len(self.bank):
            if self._flat is None:
                self._flat = FlatSearch(self.bank)
            return self._flat.nearest(queries, count)
        short, squares = self._described(queries)
        order = short[:, 0].argsort(kind="stable")
        distance, index = np.empty((len(queries), count), np.float32), np.empty((len(queries), count), np.int64)
        # one for all blocks: fresh memory of this size would be given back to the system, and cleared, every time
        space = np.empty(min(_QUERIES, len(queries)) * len(self.bank), np.float32)
        for start in range(0, len(queries), _QUERIES):
            rows = order[start : start + _QUERIES]
            distance[rows], index[rows] = self._search(queries[rows], short[rows], squares[rows], count, space)
        return distance, index

    def _prepare(self, bank: Vectors) -> None:
        self._centre = bank.mean(axis=0, dtype=np.float64)
        rounded = (bank - self._centre).astype(np.float32)
        # float32 is enough: any orthonormal basis gives true bounds, the best one only tighter ones
        variance, directions = np.linalg.eigh((rounded.T @ rounded).astype(np.float64))
        spanned = variance[::-1].cumsum() / max(variance.sum(), np.finfo(float).tiny)
        count = max(FEWEST, int(np.searchsorted(spanned, VARIANCE)) + 1)
        if count > MOST * bank.shape[1]:
            return
        self._basis = np.ascontiguousarray(directions[:, : -count - 1 : -1])
        short, squares = self._described(bank)
        self._place = short[:, 0].argsort(kind="stable")
        self._first = short[self._place, 0]
        self._longest = float(np.sqrt(squares.max()))
        # -2 (Pm, r(m)) and |m|^2: the product with (Pq, r(q)) and 1 is the bound less |q|^2
        self._stored = np.column_stack([-2 * short[:, :-1], squares])[self._place].astype(np.float32)
        self._sample = np.ascontiguousarray(self._stored[::_SAMPLE])

    def _described(self, vectors: Vectors) -> tuple[Wide, Wide]:
        """(Px, r(x), 1), ``[N, dimensions of the basis + 2]``, and |x|^2, ``[N]``, of vectors less the bank's mean."""
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


class FlatSearch:
    """Exact nearest neighbours in one memory bank, all of which is looked through.

    Candidates come from the expanded square; their distances are then computed from the differences, so that they do
    not suffer from cancellation.

    Args:
        bank: float32 ``[M, D]``.
    """

    def __init__(self, bank: Vectors) -> None:
        import faiss  # of those banks only that ``BankSearch`` does not search itself

        # with centred vectors |q|^2 + |m|^2 - 2 q.m cancels less, so that the candidates are the right ones
        self.bank, self._centre = bank, bank.mean(axis=0)
        self._index = faiss.IndexFlatL2(bank.shape[1])
        self._index.add(np.ascontiguousarray(bank - self._centre))

    def nearest(self, queries: Vectors, count: int = 1) -> tuple[Vectors, Places]:
        """As ``nearest``."""
        index = np.asarray(self._index.search(np.ascontiguousarray(queries - self._centre), count)[1])
        columns = [np.linalg.norm(queries - self.bank[index[:, column]], axis=1) for column in range(count)]
        distance = np.stack(columns, axis=1)
        order = distance.argsort(axis=1, kind="stable")
        return np.take_along_axis(distance, order, axis=1), np.take_along_axis(index, order, axis=1)


def nearest(queries: Vectors, bank: Vectors, count: int = 1) -> tuple[Vectors, Places]:
    """Euclidean distances and indices of the ``count`` nearest bank vectors, each ``[Q, count]``, nearest first.

    Args:
        queries: float32 ``[Q, D]``.
        bank: float32 ``[M, D]``, M >= count.
    """
    return FlatSearch(bank).nearest(queries, count)
