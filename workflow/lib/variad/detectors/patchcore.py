"""PatchCore: the distance of every patch to a memory bank of normal patches (Roth et al., CVPR 2022).

1. ``embed_patches``: describe every position by the features around it, of all layers (section 3.1).
2. ``greedy_coreset``: keep patches of the training images, so that every other one is near a kept one (section 3.2).
3. ``BankSearch``: the distance of a patch to the nearest one of the bank is its anomaly (equation 6).
4. ``PatchCore._image_scores``: an image is as anomalous as its farthest patch, re-weighted (equation 7).

AnomalyDINO (Damm et al., WACV 2025) is the same on patches of a vision transformer with other choices, which are
settings here: no averaging, cosine distance, all patches kept, an image's score the mean of its farthest patches, and
patches of the background left out.

Nothing here needs torch, so that a job on a CPU starts at once; ``patchcore_gpu`` has the same steps for a GPU."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.images import FeatureMaps
from variad.detectors.anomaly_map import bilinear_matrix
from variad.detectors.interface import DetectorInput, Range, Scored, Tensors, check_settings, is_number

if TYPE_CHECKING:
    from variad.detectors.patchcore_gpu import GpuBank

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
_DISTANCES, _MASKS = ("euclidean", "cosine"), ("none", "test", "all")
_RANGES: dict[str, Range] = {
    "neighbourhood": ("3, or 1 for no averaging", (1, 3).__contains__),
    "distance": (f"one of {', '.join(_DISTANCES)}", _DISTANCES.__contains__),
    "top_fraction": ("null or a value in (0, 1]", lambda value: value is None or (is_number(value) and 0 < value <= 1)),
    "mask": (f"one of {', '.join(_MASKS)}", _MASKS.__contains__),
    "mask_threshold": ("a number of at least 0", lambda value: is_number(value) and value >= 0),
}


class Choices(NamedTuple):
    """What describes patches and scores images: the settings of ``PatchCore`` of these names."""

    neighbourhood: int = 3
    distance: str = "euclidean"
    top_fraction: float | None = None

    def patches_of_score(self, patches: int) -> int | None:
        """How many of an image's patches, the farthest ones, are averaged; None is the re-weighted maximum."""
        return None if self.top_fraction is None else max(1, int(self.top_fraction * patches))


class PatchCore:
    """Memory bank of patch features, thinned to a coreset; the anomaly map is the distance to it.

    Args:
        coreset_fraction: part of the training patches that the bank keeps, 0 < f <= 1.
        coreset_limit: most vectors that the bank keeps; None is no limit (the paper's).
        projection: dimensions that the coreset is chosen in.
        neighbours: bank vectors around the nearest one that re-weight the image score (9); 1 is the plain maximum.
        neighbourhood: side of the square of positions that each is averaged over, 3; 1 averages nothing.
        distance: of patches: ``euclidean``, or ``cosine``, 1 - cosine of the angle between them.
        top_fraction: None is the re-weighted maximum; else the image score is the mean of this part of all patches, the
            farthest ones (at least one), and ``neighbours`` is not heeded.
        mask: ``none``; ``test``: patches of the background of an image that is scored are 0 in its map; ``all``: those
            of training images do not join the bank either.
        mask_threshold: see ``foreground.foreground``.
    """

    uses_images = False
    map_sigma = 4.0  # section 3.3

    def __init__(
        self,
        coreset_fraction: float = 0.1,
        coreset_limit: int | None = None,
        projection: int = 128,
        neighbours: int = 9,
        neighbourhood: int = 3,
        distance: str = "euclidean",
        top_fraction: float | None = None,
        mask: str = "none",
        mask_threshold: float = 10.0,
        device: str = "cpu",
    ) -> None:
        self.settings = {name: value for name, value in locals().items() if name not in ("self", "device")}
        if not 0 < coreset_fraction <= 1:
            raise UserError(f"patchcore.coreset_fraction: expected a value in (0, 1], found {coreset_fraction}.")
        if neighbours < 1 or (coreset_limit is not None and coreset_limit < 1):
            raise UserError(
                f"patchcore: expected neighbours and coreset_limit of at least 1, found {neighbours}, {coreset_limit}."
            )
        check_settings("patchcore", self.settings, _RANGES)
        self.coreset_fraction, self.coreset_limit = coreset_fraction, coreset_limit
        self.projection, self.neighbours = projection, neighbours
        self.choices = Choices(neighbourhood, distance, top_fraction)
        self.mask, self.mask_threshold = mask, mask_threshold
        self.device = device
        self._keep(np.empty((0, 0), np.float32))

    def _keep(self, memory_bank: Vectors) -> None:
        self.memory_bank = memory_bank
        self._search = BankSearch(memory_bank if self.device == "cpu" else memory_bank[:0])
        self._on_gpu: GpuBank | None = None

    @property
    def _gpu_bank(self) -> "GpuBank":
        """The bank on the GPU, uploaded once."""
        if self._on_gpu is None:
            from variad.detectors.patchcore_gpu import GpuBank

            self._on_gpu = GpuBank(self.memory_bank, self.device)
        return self._on_gpu

    def fit(self, training: DetectorInput, generator: np.random.Generator) -> None:
        """Fill the memory bank; see ``Detector.fit``."""
        shown = self._shown(training.features, self.mask == "all")
        if self.device != "cpu":
            from variad.detectors.patchcore_gpu import fill_bank

            size, projection, device = self._bank_size, self.projection, self.device
            self._keep(fill_bank(training.features, size, projection, generator, device, self.choices, shown))
            return
        patches = self._described(training.features)
        patches = patches.reshape(-1, patches.shape[-1]) if shown is None else patches[shown]
        count = self._bank_size(len(patches))
        if count == len(patches):  # nothing to choose
            self._keep(patches)
            return
        projected = random_projection(patches, self.projection, generator)
        self._keep(patches[greedy_coreset(projected, count, generator)])

    def _bank_size(self, patches: int) -> int:
        count = max(1, int(self.coreset_fraction * patches))
        return min(count, self.coreset_limit or count)

    def score(self, images: DetectorInput) -> Scored:
        """Patch distances as maps, their re-weighted maximum as image score; see ``Detector.score``."""
        if self.device != "cpu":
            shown = self._shown(images.features, self.mask != "none")
            return self._gpu_bank.score(images.features, self.neighbours, self.choices, shown)
        count, height, width = next(iter(images.features.values())).shape[:3]
        # one at a time: matrix products of other shapes add in another order, and an image's last digit would depend
        # on the others
        parts = [self._score_one(images.rows(slice(row, row + 1)).features) for row in range(count)]
        scores = np.array([part.scores[0] for part in parts], np.float32)
        return Scored(scores, np.array([part.maps[0] for part in parts], np.float32).reshape(count, height, width))

    def _score_one(self, features: FeatureMaps) -> Scored:
        """``score`` of one image on a CPU."""
        shown = self._shown(features, self.mask != "none")
        patches = self._described(features)
        count, height, width, channels = patches.shape
        found, places = self._search.nearest(patches.reshape(-1, channels) if shown is None else patches[shown])
        distance: NDArray[Any] = found.reshape(-1)
        index: NDArray[Any] = places.reshape(-1)
        if self.choices.distance == "cosine":
            distance = np.square(distance) / 2
        if shown is not None:
            distance, index = spread(distance, shown), spread(index, shown)
        flat = distance.reshape(count, -1)
        scores = self._image_scores(patches.reshape(count, -1, channels), flat, index.reshape(count, -1))
        return Scored(scores, flat.reshape(count, height, width))

    def _described(self, features: FeatureMaps) -> Vectors:
        """Patches as distances are taken between them, ``[N, h, w, D]``."""
        patches = embed_patches(features, self.choices.neighbourhood)
        return unit_length(patches) if self.choices.distance == "cosine" else patches

    def _shown(self, features: FeatureMaps, masked: bool) -> Masks | None:
        """Which patches count, ``[N, h, w]``; None is all."""
        if not masked:
            return None
        from variad.detectors.foreground import foreground  # what it needs takes a quarter of a second to import

        return foreground(embed_patches(features, self.choices.neighbourhood), self.mask_threshold)

    def _image_scores(self, patches: Vectors, distance: Vectors, index: Places) -> Vectors:
        """Equation 7 of the paper: the farthest patch, weighted by how crowded its neighbour's surroundings are.

        With ``top_fraction`` the mean of the farthest patches (AnomalyDINO, section 3.1).

        Args:
            patches: ``[N, P, D]``; distance, index: to the nearest bank vector, ``[N, P]``.
        """
        most = self.choices.patches_of_score(distance.shape[1])
        if most is not None:
            farthest: Vectors = np.partition(distance, -most, axis=1)[:, -most:].mean(axis=1)
            return farthest
        rows, worst = np.arange(len(patches)), distance.argmax(axis=1)
        largest = distance[rows, worst]
        neighbours = min(self.neighbours, len(self.memory_bank))
        if neighbours == 1:
            return largest
        closest = self.memory_bank[index[rows, worst]]
        support = self._search.nearest(closest, neighbours)[1]
        to_support = np.linalg.norm(patches[rows, worst][:, None] - self.memory_bank[support], axis=2)
        # column 0 is the nearest vector itself, so its part of the softmax is 1 over the sum
        weight = 1 - 1 / np.exp(to_support - to_support[:, :1]).sum(axis=1)
        return (weight * largest).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write bank and settings."""
        with writing(path) as temporary:
            save_file({"memory_bank": self.memory_bank}, temporary, metadata={"settings": json.dumps(self.settings)})

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read what ``save`` wrote."""
        with safe_open(path, "np") as file:
            return cls.from_tensors({"memory_bank": file.get_tensor("memory_bank")}, file.metadata(), device)

    @classmethod
    def from_tensors(cls, tensors: Tensors, metadata: Mapping[str, str], device: str = "cpu") -> Self:
        """See ``BundledDetector.from_tensors``."""
        detector = cls(**json.loads(metadata["settings"]), device=device)
        detector._keep(tensors["memory_bank"])
        return detector


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
