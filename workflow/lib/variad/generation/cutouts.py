"""Differentiable random crops, so that a text guides the whole image and its parts alike."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST = 0.5  # part of the side that a cutout spans at least [assumed]


def cutouts(images: Tensor, count: int, size: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Square crops at random places and scales, all in one call.

    Args:
        images: ``[B, 3, H, W]``.
        count: crops an image; the first one is the whole image.
        size: side of a crop, pixels.
        generators: one an image, so that an image's crops do not depend on its batch.

    Returns:
        ``[B * count, 3, size, size]``, the crops of one image after another.
    """
    theta = torch.cat([_matrices(count, generator) for generator in generators]).to(images)
    grid = functional.affine_grid(theta, [len(theta), 3, size, size], align_corners=False)
    repeated = images.repeat_interleave(count, dim=0)
    return functional.grid_sample(repeated, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _matrices(count: int, generator: torch.Generator) -> Tensor:
    draws = torch.rand(count, 3, generator=generator)
    scale = SMALLEST + (1 - SMALLEST) * draws[:, 0]
    scale[0] = 1.0
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = (1 - scale)[:, None] * (2 * draws[:, 1:] - 1)
    return theta
