"""Light geometric views of images: flips and a small rotation that keeps every pixel sharp."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

MAX_ROTATION = 2.0  # degrees [assumed]


def geometric(images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Random flips and a rotation within two degrees, ``[B, 3, H, W]`` in [0, 1].

    Bicubic, since blur costs more than any variation brings; each image draws from its own generator.
    """
    theta = torch.stack([_matrix(generator) for generator in generators]).to(images)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return moved.clamp(0, 1)


def _matrix(generator: torch.Generator) -> Tensor:
    draws = torch.rand(3, generator=generator)
    angle = math.radians(MAX_ROTATION) * (2 * float(draws[0]) - 1)
    flip_x, flip_y = (1.0 if float(draw) < 0.5 else -1.0 for draw in draws[1:])
    cosine, sine = math.cos(angle), math.sin(angle)
    return torch.tensor([[flip_x * cosine, -flip_x * sine, 0.0], [flip_y * sine, flip_y * cosine, 0.0]])
