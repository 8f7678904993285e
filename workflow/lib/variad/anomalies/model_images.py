"""Between the images of a category and those of a diffusion model, which have a resolution of their own."""

import numpy as np
import torch
from torch import Tensor

from variad.images import resize_square
from variad.pixels import are_grey, to_tensor, to_uint8
from variad.records import Images


def to_model(images: Images, resolution: int) -> Tensor:
    """uint8 ``[N, S, S, 3]`` to ``[N, 3, R, R]`` in [-1, 1], bicubic."""
    return to_tensor(resize_all(images, resolution)) * 2 - 1


def from_model(images: Tensor, grey: Tensor) -> Images:
    """``[N, 3, R, R]`` in [-1, 1] to uint8 ``[N, R, R, 3]``.

    Args:
        grey: which of them have a grey parent; these become grey, for a grey camera takes no coloured pictures.
    """
    mean = images.mean(dim=1, keepdim=True).expand_as(images)
    return to_uint8((torch.where(grey.view(-1, 1, 1, 1), mean, images) + 1) / 2)


def resize_all(images: Images, side: int) -> Images:
    """uint8 ``[N, h, h, 3]`` to ``[N, side, side, 3]``, bicubic."""
    if not len(images):
        return np.empty((0, side, side, 3), np.uint8)
    return np.stack([resize_square(image, side) for image in images])


def grey_ones(images: Images) -> Tensor:
    """Which of uint8 ``[N, h, h, 3]`` have equal channels; bool ``[N]``."""
    return are_grey(to_tensor(images))
