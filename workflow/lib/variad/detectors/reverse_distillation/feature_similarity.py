"""How alike a student's features are to its teacher's: the loss and the anomaly map of Reverse Distillation."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_SMALLEST = 1e-8  # of a norm, so that features that are all zero divide by no zero


def distillation_loss(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> Tensor:
    """Sum over layers of 1 - cosine similarity of whole maps, mean over images; layers are ``[B, h, w, C]``.

    The paper's equation 2 averages over positions; its authors' code, and everyone's since, takes the whole map as one
    vector, as is done here.
    """
    return torch.stack([_map_distance(*layers).mean() for layers in zip(teacher, student, strict=True)]).sum()


def _map_distance(teacher: Tensor, student: Tensor) -> Tensor:
    # products of matrices read each map once and write none, unlike functional.cosine_similarity
    teacher, student = teacher.flatten(1)[:, None], student.flatten(1)[:, None]
    lengths = _squares(teacher).clamp_min(_SMALLEST**2) * _squares(student).clamp_min(_SMALLEST**2)
    return 1 - torch.bmm(student, teacher.transpose(1, 2)).flatten() / lengths.sqrt()


def _squares(rows: Tensor) -> Tensor:
    return torch.bmm(rows, rows.transpose(1, 2)).flatten()


def distance_maps(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> list[Tensor]:
    """1 - cosine similarity at every position (equation 1), ``[B, h, w]`` of layers ``[B, h, w, C]``."""
    pairs = zip(teacher, student, strict=True)
    return [1 - functional.cosine_similarity(ours, theirs, dim=3, eps=_SMALLEST) for ours, theirs in pairs]


def summed_maps(distances: Sequence[Tensor], resolution: int) -> Tensor:
    """Sum of maps ``[B, h, w]``, each enlarged first (bilinear, corners on corners as in the authors' code).

    Returns:
        ``[B, resolution, resolution]``.
    """
    size = (resolution, resolution)
    enlarged = [functional.interpolate(maps[:, None], size, mode="bilinear", align_corners=True) for maps in distances]
    return torch.stack(enlarged).sum(dim=0)[:, 0]
