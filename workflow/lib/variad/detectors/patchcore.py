"""PatchCore: distance of every patch to a memory bank of normal patches (Roth et al., CVPR 2022)."""

import json
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from variad.detectors.base import DetectorInput, Scored
from variad.detectors.coreset import greedy_coreset, random_projection
from variad.detectors.neighbours import nearest
from variad.errors import UserError
from variad.features import FeatureMaps
from variad.files import writing


class PatchCore:
    """Memory bank of patch features, thinned to a coreset; the anomaly map is the distance to it.

    Args:
        coreset_fraction: part of the training patches that the bank keeps, 0 < f <= 1.
        coreset_limit: most vectors that the bank keeps; None is no limit (the paper's).
        projection: dimensions that the coreset is chosen in.
        neighbours: bank vectors around the nearest one that re-weight the image score (9); 1 is the plain maximum.
    """

    uses_images = False

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
        self.memory_bank = torch.empty(0, 0)

    def fit(self, training: DetectorInput, generator: torch.Generator) -> None:
        """Fill the memory bank; see ``Detector.fit``."""
        patches = embed_patches(training.features, self.device).flatten(0, 2)
        count = max(1, int(self.coreset_fraction * len(patches)))
        count = min(count, self.coreset_limit or count)
        projected = random_projection(patches, self.projection, generator)
        self.memory_bank = patches[greedy_coreset(projected, count, generator)]

    def score(self, images: DetectorInput) -> Scored:
        """Patch distances as maps, their re-weighted maximum as image score; see ``Detector.score``."""
        patches = embed_patches(images.features, self.device)
        count, height, width, _ = patches.shape
        distance, index = nearest(patches.flatten(0, 2), self.memory_bank)
        maps = distance.view(count, height, width)
        scores = self._image_scores(patches.flatten(1, 2), maps.flatten(1), index.view(count, -1))
        return Scored(scores.cpu().numpy(), maps.cpu().numpy())

    def _image_scores(self, patches: Tensor, distance: Tensor, index: Tensor) -> Tensor:
        """Equation 7 of the paper: the farthest patch, weighted by how crowded its neighbour's surroundings are.

        Args:
            patches: ``[N, P, D]``; distance, index: to the nearest bank vector, ``[N, P]``.
        """
        largest, worst = distance.max(dim=1)
        neighbours = min(self.neighbours, len(self.memory_bank))
        if neighbours == 1:
            return largest
        rows = torch.arange(len(patches), device=patches.device)
        support = nearest(self.memory_bank[index[rows, worst]], self.memory_bank, neighbours)[1]
        to_support = torch.linalg.vector_norm(
            patches[rows, worst][:, None] - self.memory_bank[support], dim=2
        )  # column 0 is the nearest vector itself
        return (1 - to_support.softmax(dim=1)[:, 0]) * largest

    def save(self, path: Path) -> None:
        """Write bank and settings."""
        with writing(path) as temporary:
            tensors = {"memory_bank": self.memory_bank.cpu().contiguous()}
            save_file(tensors, temporary, metadata={"settings": json.dumps(self.settings)})

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read what ``save`` wrote."""
        with safe_open(path, "pt", device=device) as file:
            detector = cls(**json.loads(file.metadata()["settings"]), device=device)
            detector.memory_bank = file.get_tensor("memory_bank")
        return detector


def embed_patches(features: FeatureMaps, device: str = "cpu") -> Tensor:
    """Locally aware patch features, ``[N, h, w, sum of C]`` on the first layer's grid.

    Each layer is averaged over 3 x 3 positions, deeper ones are brought to the first one's grid (bilinear), and all
    are concatenated (PatchCore, section 3.1).
    """
    pooled = [_average(values, device) for values in features.values()]
    grid = pooled[0].shape[-2:]
    aligned = [pooled[0]] + [
        functional.interpolate(values, grid, mode="bilinear", align_corners=False) for values in pooled[1:]
    ]
    return torch.cat(aligned, dim=1).permute(0, 2, 3, 1).contiguous()


def _average(values: np.ndarray, device: str) -> Tensor:
    maps = torch.from_numpy(values).to(device).permute(0, 3, 1, 2)
    return functional.avg_pool2d(maps, 3, stride=1, padding=1)
