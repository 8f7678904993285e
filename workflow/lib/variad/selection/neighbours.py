"""Nearest-neighbour detectors: every layer of a frozen backbone, several resolutions, several ways to score.

Source: candidates are [assumed]; k-nearest-neighbour distances in a frozen network's features are the second
document's detectors (section A.3 scores by the three closest support embeddings)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from variad.core.errors import UserError
from variad.core.images import Images
from variad.core.seeding import numpy_generator
from variad.networks.backbones import Backbone, load_backbone
from variad.networks.features import prepare, to_tensor
from variad.selection.trials import Rows, Scores, Trial

# images at once: more do not fit a processor's cache, and take up to twice the time an image
BATCH, BATCH_ON_GPU = 8, 64
SCORES = re.compile(r"pooled_([1-9]\d*)|patch_maximum|patch_mean")


class LayerFeatures(NamedTuple):
    """One layer of B images.

    Attributes:
        pooled: means over positions, ``[B, C]``.
        patches: all positions, ``[B, P, C]``; of a bank some of those of all images, ``[M, C]``.
    """

    pooled: Tensor
    patches: Tensor


class Neighbours:
    """Candidates ``{layer}/{resolution}/{score}`` on one backbone.

    Args:
        backbone: returns every layer in one forward pass.
        resolutions: sides that images are resized to, pixels.
        scores: ``pooled_k`` (mean distance to the k nearest banks of layers averaged over positions),
            ``patch_maximum`` and ``patch_mean`` (over positions, of the distance to the nearest bank position).
        grid: positions are averaged to at most this many a side.
        bank_patches: at most so many positions of the bank are kept, drawn at random.
        seed: root seed, and ``key``, of which ones.
    """

    def __init__(
        self,
        backbone: Backbone,
        resolutions: Sequence[int],
        scores: Sequence[str],
        grid: int = 14,
        bank_patches: int = 1000,
        seed: int = 0,
        key: tuple[str, ...] = (),
        device: str = "cpu",
    ) -> None:
        for name in scores:
            if SCORES.fullmatch(name) is None:
                raise UserError(f"candidates: expected scores pooled_k, patch_maximum or patch_mean, found '{name}'.")
        self.backbone = backbone.to(device)
        self.resolutions, self.scores, self.grid, self.bank_patches = resolutions, scores, grid, bank_patches
        self.seed, self.key, self.device = seed, key, device

    def describe(self) -> list[dict[str, str | int]]:
        """The largest is the one with the most parameters, then the deepest layer, then the highest resolution."""
        parameters = sum(value.numel() for value in self.backbone.parameters())
        return [
            {"candidate": f"{layer}/{side}/{score}", "parameters": parameters, "depth": depth, "resolution": side}
            for depth, layer in enumerate(self.backbone.layers)
            for side in self.resolutions
            for score in self.scores
        ]

    def score(self, pool: Images, trials: Sequence[Trial]) -> list[Scores]:
        """See ``Candidates.score``."""
        results: list[Scores] = [
            {str(row["candidate"]): np.full(len(trial.queries), np.nan) for row in self.describe()} for trial in trials
        ]
        queries = np.unique(np.concatenate([trial.queries for trial in trials]))
        for side in self.resolutions:
            banks = self._banks(pool, trials, side)
            for rows, layers in self._described(pool, queries, side):
                for trial, bank, result in zip(trials, banks, results, strict=True):
                    _, here, there = np.intersect1d(rows, trial.queries, assume_unique=True, return_indices=True)
                    if not len(here):
                        continue
                    for layer, batch in layers.items():
                        for score, values in self._distances(batch, bank[layer], torch.from_numpy(here)).items():
                            result[f"{layer}/{side}/{score}"][there] = values.cpu().numpy()
        return results

    def _banks(self, pool: Images, trials: Sequence[Trial], side: int) -> list[dict[str, LayerFeatures]]:
        wanted = np.unique(np.concatenate([trial.bank for trial in trials]))
        parts = [layers for _, layers in self._described(pool, wanted, side)]
        whole = {
            layer: LayerFeatures(*map(torch.cat, zip(*(part[layer] for part in parts), strict=True)))
            for layer in self.backbone.layers
        }
        return [self._bank(whole, np.searchsorted(wanted, trial.bank), trial.run) for trial in trials]

    def _bank(self, whole: Mapping[str, LayerFeatures], at: Rows, run: int) -> dict[str, LayerFeatures]:
        banks = {}
        for layer, described in whole.items():
            patches = described.patches[torch.from_numpy(at)].flatten(0, 1)
            generator = numpy_generator(self.seed, *self.key, run, "bank_patches", layer)
            kept = np.sort(generator.permutation(len(patches))[: self.bank_patches])
            banks[layer] = LayerFeatures(described.pooled[torch.from_numpy(at)], patches[torch.from_numpy(kept)])
        return banks

    def _described(self, pool: Images, rows: Rows, side: int) -> Iterator[tuple[Rows, dict[str, LayerFeatures]]]:
        size = BATCH if self.device == "cpu" else BATCH_ON_GPU
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            with torch.inference_mode():
                maps = self.backbone(prepare(to_tensor(pool[batch]).to(self.device), side, None))
                yield batch, {layer: self._describe(value) for layer, value in maps.items()}

    def _describe(self, maps: Tensor) -> LayerFeatures:
        sides = (min(self.grid, maps.shape[-2]), min(self.grid, maps.shape[-1]))
        patches = functional.adaptive_avg_pool2d(maps, sides).flatten(2).transpose(1, 2)
        return LayerFeatures(maps.mean(dim=(2, 3)), patches.contiguous())

    def _distances(self, batch: LayerFeatures, bank: LayerFeatures, rows: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        pooled = torch.cdist(batch.pooled[rows], bank.pooled).sort(dim=1).values
        nearest = None
        for score in self.scores:
            if score.startswith("pooled_"):
                found[score] = pooled[:, : int(score.removeprefix("pooled_"))].mean(dim=1)
                continue
            nearest = nearest_distance(batch.patches[rows], bank.patches) if nearest is None else nearest
            found[score] = nearest.amax(dim=1) if score == "patch_maximum" else nearest.mean(dim=1)
        return found


def nearest_distance(patches: Tensor, bank: Tensor) -> Tensor:
    """Euclidean distance of patches ``[B, P, C]`` to the nearest of ``[M, C]``: ``[B, P]``."""
    flat = patches.flatten(0, 1)
    # |q - b|^2 = |q|^2 + |b|^2 - 2 q b; |q|^2 is the same for every b, so it is added after the minimum
    least = torch.addmm(bank.square().sum(dim=1), flat, bank.T, alpha=-2).amin(dim=1)
    return (least + flat.square().sum(dim=1)).clamp_min(0).sqrt().reshape(patches.shape[:2])


def open_candidates(entry: Mapping[str, Any], *, seed: int, key: tuple[str, ...], device: str, **_: Any) -> Neighbours:
    """See ``variad.selection.trials.open_candidates``."""
    backbone = load_backbone(entry["backbone"], entry["layers"], entry["weights"])
    settings = {name: entry[name] for name in ("resolutions", "scores", "grid", "bank_patches")}
    return Neighbours(backbone, **settings, seed=seed, key=key, device=device)
