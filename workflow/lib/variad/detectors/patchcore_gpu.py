"""PatchCore on a GPU: the steps of ``patchcore``, with patches, memory bank and distances on the device throughout.

Features go up once, scores and maps come down once. The bank is searched whole: a product of matrices that a GPU
computes in the time in which a CPU rules out the first vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variad.core.images import FeatureMaps
from variad.detectors.anomaly_map import bilinear_matrix
from variad.detectors.interface import Scored
from variad.detectors.memory_bank import Choices, Masks, Vectors, projection_matrix
from variad.networks.gpu_steps import ReplayedStep

_BOUNDS = 2**28  # at once: a GB of queries times bank
DEFAULT = Choices()
_PICKS = 16  # of the coreset, in one step


@torch.inference_mode()
def embed_patches(features: FeatureMaps, device: str, neighbourhood: int = 3) -> Tensor:
    """Locally aware patch features, ``[N, h, w, sum of C]``; see ``patchcore.embed_patches``."""
    given = [torch.from_numpy(values).to(device) for values in features.values()]
    averaged = [_average(values) for values in given] if neighbourhood == 3 else given
    grid = averaged[0].shape[1:3]
    return torch.cat([averaged[0]] + [_enlarge(values, *grid) for values in averaged[1:]], dim=3)


def _described(features: FeatureMaps, device: str, choices: Choices) -> Tensor:
    """Patches as distances are taken between them, ``[N, h, w, D]``."""
    patches = embed_patches(features, device, choices.neighbourhood)
    return torch.nn.functional.normalize(patches, dim=3) if choices.distance == "cosine" else patches


def _average(values: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(values, (0, 0, 1, 1, 1, 1))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9


def _enlarge(values: Tensor, height: int, width: int) -> Tensor:
    rows, columns = (
        torch.from_numpy(bilinear_matrix(*sizes)).float().to(values.device)
        for sizes in ((values.shape[1], height), (values.shape[2], width))
    )
    return torch.einsum("hi,niwc->nhwc", rows, torch.einsum("wj,nijc->niwc", columns, values))


def fill_bank(
    features: FeatureMaps,
    size: Callable[[int], int],
    projection: int,
    generator: np.random.Generator,
    device: str,
    choices: Choices = DEFAULT,
    shown: Masks | None = None,
) -> Vectors:
    """The memory bank ``[M, D]`` of training features: a coreset of ``size(number of patches)`` patches.

    ``generator`` draws what it draws on a CPU, in the same order.

    Args:
        shown: which patches may join, ``[N, h, w]``; None is all.
    """
    patches = _described(features, device, choices).flatten(0, 2)
    if shown is not None:
        patches = patches[torch.from_numpy(shown).to(device).flatten()]
    if size(len(patches)) == len(patches):  # nothing to choose
        return patches.cpu().numpy()
    matrix = projection_matrix(patches.shape[1], projection, generator)
    projected = patches if matrix is None else patches @ torch.from_numpy(matrix).to(patches)
    return patches[greedy_coreset(projected, size(len(patches)), generator)].cpu().numpy()


@torch.no_grad()
def greedy_coreset(points: Tensor, count: int, generator: np.random.Generator) -> Tensor:
    """Indices ``[count]`` of ``patchcore.greedy_coreset`` on the device of ``points``, without waiting for it."""
    first = int(generator.integers(len(points)))
    picking = Picking(points - points.mean(dim=0), count, first)
    step = ReplayedStep(picking.go_on, points.device)
    for _ in range(-(-(count - 1) // _PICKS)):
        step()
    return picking.picks[:count]


class Picking:
    """A greedy k-centre selection under way, all of it in tensors that stay where they are."""

    def __init__(self, cloud: Tensor, count: int, first: int) -> None:
        self.cloud, self.norms = cloud, cloud.square().sum(dim=1)
        self.nearest = torch.full_like(self.norms, torch.inf)
        # room for the picks beyond ``count`` of the last step
        self.picks = torch.zeros(count + _PICKS, dtype=torch.long, device=cloud.device)
        self.last = torch.full((1,), first, device=cloud.device)
        self.place = torch.ones(1, dtype=torch.long, device=cloud.device)
        self.picks[0] = first

    def go_on(self) -> Tensor:
        """The next ``_PICKS`` picks; the last of them."""
        for _ in range(_PICKS):
            centre = self.cloud.index_select(0, self.last)[0]
            distance = torch.addmv(self.norms, self.cloud, centre, alpha=-2).add_(centre.square().sum())
            torch.minimum(self.nearest, distance, out=self.nearest)
            self.nearest.index_fill_(0, self.last, -torch.inf)  # a pick is never taken twice, duplicates included
            self.last.copy_(self.nearest.argmax(dim=0, keepdim=True))
            self.picks.index_copy_(0, self.place, self.last)
            self.place.add_(1)
        return self.last


class GpuBank:
    """A memory bank on a GPU.

    Args:
        bank: float32 ``[M, D]``.
    """

    def __init__(self, bank: Vectors, device: str) -> None:
        self.device = device
        self.bank = torch.from_numpy(bank).to(device)
        # with centred vectors |q|^2 + |m|^2 - 2 q.m cancels less, so that the candidates are the right ones
        self.centre = self.bank.mean(dim=0)
        self._centred = self.bank - self.centre
        self._norms = self._centred.square().sum(dim=1)

    @torch.inference_mode()
    def score(
        self, features: FeatureMaps, neighbours: int, choices: Choices = DEFAULT, shown: Masks | None = None
    ) -> Scored:
        """Image scores and maps; see ``PatchCore.score``."""
        patches = _described(features, self.device, choices)
        count, height, width, channels = patches.shape
        distance, index = self.nearest(patches.view(-1, channels))
        flat = distance.view(count, -1)
        if choices.distance == "cosine":
            flat = flat.square() / 2
        if shown is not None:  # a matrix product is so quick that background is searched, too
            flat = flat * torch.from_numpy(shown).to(self.device).view(count, -1)
        most = choices.patches_of_score(flat.shape[1])
        if most is not None:
            scores = flat.topk(most, dim=1).values.mean(dim=1)
        else:
            scores = self._image_scores(patches.view(count, -1, channels), flat, index.view(count, -1), neighbours)
        return Scored(_array(scores), _array(flat.view(count, height, width)))

    def nearest(self, queries: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
        """Distances and indices of the nearest bank vectors, each ``[Q, count]``; see ``patchcore.nearest``."""
        blocks = [self._nearest(block, count) for block in queries.split(max(1, _BOUNDS // len(self.bank)))]
        distance, index = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        return distance, index

    def _nearest(self, queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        bounds = torch.addmm(self._norms, queries - self.centre, self._centred.T, alpha=-2)
        one = count == 1  # a minimum reads once what a selection reads many times
        index = bounds.argmin(dim=1, keepdim=True) if one else bounds.topk(count, dim=1, largest=False).indices
        distance = torch.stack([(queries - self.bank[column]).norm(dim=1) for column in index.T], dim=1)
        distance, order = distance.sort(dim=1, stable=True)
        return distance, index.gather(1, order)

    def _image_scores(self, patches: Tensor, distance: Tensor, index: Tensor, neighbours: int) -> Tensor:
        """Equation 7 of the paper; see ``PatchCore._image_scores``."""
        largest, worst = distance.max(dim=1, keepdim=True)
        neighbours = min(neighbours, len(self.bank))
        if neighbours == 1:
            return largest[:, 0]
        farthest = patches.gather(1, worst[:, :, None].expand(-1, -1, patches.shape[2]))
        support = self.nearest(self.bank[index.gather(1, worst)[:, 0]], neighbours)[1]
        to_support = (farthest - self.bank[support]).norm(dim=2)
        weight = 1 - 1 / (to_support - to_support[:, :1]).exp().sum(dim=1)
        return weight * largest[:, 0]


def _array(values: Tensor) -> NDArray[Any]:
    return values.cpu().numpy()
