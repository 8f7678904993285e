"""PatchCore: the distance of every patch to a memory bank of normal patches (Roth et al., CVPR 2022).

1. ``embed_patches``: describe every position by the features around it, of all layers (section 3.1).
2. ``greedy_coreset``: keep patches of the training images, so that every other one is near a kept one (section 3.2).
3. ``BankSearch``: the distance of a patch to the nearest one of the bank is its anomaly (equation 6).
4. ``PatchCore._image_scores``: an image is as anomalous as its farthest patch, re-weighted (equation 7).

AnomalyDINO (Damm et al., WACV 2025) is the same on patches of a vision transformer with other choices, which are
settings here: no averaging, cosine distance, all patches kept, an image's score the mean of its farthest patches, and
patches of the background left out.

The first three are in ``memory_bank``, and for a GPU in ``patchcore_gpu``. Nothing here needs torch, so that a job on a
CPU starts at once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.images import FeatureMaps
from variad.detectors.interface import DetectorInput, Range, Scored, Tensors, check_settings, is_number
from variad.detectors.memory_bank import (
    BankSearch,
    Choices,
    Masks,
    Places,
    Vectors,
    embed_patches,
    greedy_coreset,
    random_projection,
    spread,
    unit_length,
)

if TYPE_CHECKING:
    from variad.detectors.patchcore_gpu import GpuBank

_DISTANCES, _MASKS = ("euclidean", "cosine"), ("none", "test", "all")
_RANGES: dict[str, Range] = {
    "neighbourhood": ("3, or 1 for no averaging", (1, 3).__contains__),
    "distance": (f"one of {', '.join(_DISTANCES)}", _DISTANCES.__contains__),
    "top_fraction": ("null or a value in (0, 1]", lambda value: value is None or (is_number(value) and 0 < value <= 1)),
    "mask": (f"one of {', '.join(_MASKS)}", _MASKS.__contains__),
    "mask_threshold": ("a number of at least 0", lambda value: is_number(value) and value >= 0),
}


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
