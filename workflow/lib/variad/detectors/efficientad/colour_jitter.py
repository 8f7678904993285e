"""The random views that EfficientAD's autoencoder learns from (appendix, algorithm 1): one change of colour each."""

import torch
from torch import Tensor

RANGE = (0.8, 1.2)
LUMA = (0.299, 0.587, 0.114)
KINDS = ("brightness", "contrast", "saturation")


def draw_jitter(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices into ``KINDS`` and factors of ``count`` views, uniform."""
    kinds = torch.randint(len(KINDS), (count,), generator=generator)
    low, high = RANGE
    return kinds, low + (high - low) * torch.rand(count, generator=generator)


def jitter(images: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
    """Blend each image with black, its mean brightness or its own grey; a factor of 1 changes nothing.

    Args:
        images: RGB ``[B, 3, H, W]`` in [0, 1].
        kinds, factors: ``[B]``, of ``draw_jitter``.
    """
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    grey = (images * weights).sum(dim=1, keepdim=True)
    kinds, factors = (values.to(images.device).view(-1, 1, 1, 1) for values in (kinds, factors))
    mean = grey.mean(dim=(2, 3), keepdim=True)
    other = torch.where(kinds == 0, 0.0, torch.where(kinds == 1, mean, grey))
    return (other + factors * (images - other)).clamp(0, 1)
