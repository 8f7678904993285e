"""Between images as they are stored and images as networks take them."""

import numpy as np
import torch
from torch import Tensor

from variad.records import Images


def to_tensor(images: Images) -> Tensor:
    """uint8 ``[N, H, W, 3]`` to float32 ``[N, 3, H, W]`` in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


def to_uint8(images: Tensor) -> Images:
    """``[N, 3, H, W]`` in [0, 1] to uint8 ``[N, H, W, 3]``, rounded."""
    rounded = (images * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).cpu().numpy())


def are_grey(images: Tensor) -> Tensor:
    """Whether each of ``[N, 3, H, W]`` has equal channels: bool ``[N]``."""
    return (images == images[:, :1]).flatten(1).all(dim=1)
