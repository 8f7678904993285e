"""PatchCore: distance of every patch to a memory bank of normal patches (Roth et al., CVPR 2022)."""

import json
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from variad.detectors.anomaly_map import bilinear_matrix
from variad.detectors.base import DetectorInput, Scored
from variad.detectors.patchcore.bank_search import BankSearch
from variad.detectors.patchcore.coreset import greedy_coreset, random_projection
from variad.errors import UserError
from variad.feature_files import FeatureMaps
from variad.files import writing

Patches = NDArray[np.float32]


class PatchCore:
    """Memory bank of patch features, thinned to a coreset; the anomaly map is the distance to it.

    Args:
        coreset_fraction: part of the training patches that the bank keeps, 0 < f <= 1.
        coreset_limit: most vectors that the bank keeps; None is no limit (the paper's).
        projection: dimensions that the coreset is chosen in.
        neighbours: bank vectors around the nearest one that re-weight the image score (9); 1 is the plain maximum.
    """

    uses_images = False
    map_sigma = 4.0  # section 3.3

    def __init__(
        self,
        coreset_fraction: float = 0.1,
        coreset_limit: int | None = None,
        projection: int = 128,
        neighbours: int = 9,
        device: str = "cpu",
    ) -> None:
        if not 0 < coreset_fraction <= 1:
            raise UserError(f"patchcore.coreset_fraction: expected a value in (0, 1], found {coreset_fraction}.")
        if neighbours < 1 or (coreset_limit is not None and coreset_limit < 1):
            raise UserError(
                f"patchcore: expected neighbours and coreset_limit of at least 1, found {neighbours}, {coreset_limit}."
            )
        self.settings = {
            "coreset_fraction": coreset_fraction,
            "coreset_limit": coreset_limit,
            "projection": projection,
            "neighbours": neighbours,
        }
        self.coreset_fraction, self.coreset_limit = coreset_fraction, coreset_limit
        self.projection, self.neighbours = projection, neighbours
        self.device = device
        self._keep(np.empty((0, 0), np.float32))

    def _keep(self, memory_bank: Patches) -> None:
        self.memory_bank = memory_bank
        self._search = BankSearch(memory_bank, self.device)

    def fit(self, training: DetectorInput, generator: np.random.Generator) -> None:
        """Fill the memory bank; see ``Detector.fit``."""
        patches = embed_patches(training.features)
        patches = patches.reshape(-1, patches.shape[-1])
        count = max(1, int(self.coreset_fraction * len(patches)))
        count = min(count, self.coreset_limit or count)
        projected = random_projection(patches, self.projection, generator)
        self._keep(patches[greedy_coreset(projected, count, generator, self.device)])

    def score(self, images: DetectorInput) -> Scored:
        """Patch distances as maps, their re-weighted maximum as image score; see ``Detector.score``."""
        patches = embed_patches(images.features)
        count, height, width, channels = patches.shape
        distance, index = self._search.nearest(patches.reshape(-1, channels))
        flat = distance.reshape(count, -1)
        scores = self._image_scores(patches.reshape(count, -1, channels), flat, index.reshape(count, -1))
        return Scored(scores, flat.reshape(count, height, width))

    def _image_scores(self, patches: Patches, distance: Patches, index: NDArray[np.int64]) -> Patches:
        """Equation 7 of the paper: the farthest patch, weighted by how crowded its neighbour's surroundings are.

        Args:
            patches: ``[N, P, D]``; distance, index: to the nearest bank vector, ``[N, P]``.
        """
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
            detector = cls(**json.loads(file.metadata()["settings"]), device=device)
            detector._keep(file.get_tensor("memory_bank"))
        return detector


def embed_patches(features: FeatureMaps) -> Patches:
    """Locally aware patch features, ``[N, h, w, sum of C]`` on the first layer's grid.

    Each layer is averaged over 3 x 3 positions (zeros outside), deeper ones are brought to the first one's grid
    (bilinear), and all are concatenated (PatchCore, section 3.1).
    """
    averaged = [_average(values) for values in features.values()]
    grid = averaged[0].shape[1:3]
    return np.concatenate([averaged[0]] + [_enlarge(values, *grid) for values in averaged[1:]], axis=3)


def _average(values: Patches) -> Patches:
    """Sums of three along each axis in turn, ``[N, h, w, C]``."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(9)


def _enlarge(values: Patches, height: int, width: int) -> Patches:
    rows = bilinear_matrix(values.shape[1], height).astype(np.float32)
    columns = bilinear_matrix(values.shape[2], width).astype(np.float32)
    return np.einsum("hi,niwc->nhwc", rows, np.einsum("wj,nijc->niwc", columns, values, optimize=True), optimize=True)
