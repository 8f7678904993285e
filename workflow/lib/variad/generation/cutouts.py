"""Differentiable random crops, so that a text guides the whole image and its parts alike."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST = 0.5  # part of the side that a cutout spans at least [assumed]


def draw_windows(count: int, steps: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Where the cutouts of every step lie: affine matrices ``[steps, B, count, 2, 3]``; the first is the whole image.

    Drawn before the first step, since moving a few numbers to a GPU in every step would make it wait.

    Args:
        generators: one an image, so that an image's cutouts do not depend on its batch.
    """
    draws = torch.stack([torch.rand(steps, count, 3, generator=generator) for generator in generators], dim=1)
    scale = SMALLEST + (1 - SMALLEST) * draws[..., 0]
    scale[..., 0] = 1.0
    theta = torch.zeros(*scale.shape, 2, 3)
    theta[..., 0, 0] = theta[..., 1, 1] = scale
    theta[..., 2] = (1 - scale)[..., None] * (2 * draws[..., 1:] - 1)
    return theta


def cutouts(images: Tensor, windows: Tensor, size: int) -> Tensor:
    """Square crops, all in one call.

    Args:
        images: ``[B, 3, H, W]``.
        windows: one step of ``draw_windows``, ``[B, count, 2, 3]``.
        size: side of a crop, pixels.

    Returns:
        ``[B * count, 3, size, size]``, the crops of one image after another.
    """
    centres = (2 * torch.arange(size).to(images) + 1) / size - 1
    scale, shift = windows.to(images).diagonal(dim1=-2, dim2=-1), windows.to(images)[..., 2]
    columns, rows = (scale[..., None] * centres + shift[..., None]).unbind(2)
    grid = torch.stack(torch.broadcast_tensors(columns[..., None, :], rows[..., None]), dim=-1)
    # the crops of an image lie below each other, so that its pixels need not be copied for every one of them
    stacked = functional.grid_sample(images, grid.flatten(1, 2), "bilinear", "border", align_corners=False)
    return stacked.unflatten(2, (-1, size)).transpose(1, 2).flatten(0, 1)
