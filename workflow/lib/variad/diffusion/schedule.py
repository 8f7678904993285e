"""Noise schedules: how much of an image is left after ``t`` steps of noising."""

import torch
from torch import Tensor


def linear_alphas_cumprod(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """Cumulative products of ``1 - beta``, beta rising along a line from ``first`` to ``last``; float64 ``[steps]``.

    Source: Ho et al., Denoising Diffusion Probabilistic Models (NeurIPS 2020), section 4.
    """
    return torch.cumprod(1 - torch.linspace(first, last, steps, dtype=torch.float64), dim=0)


def add_noise(images: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """``sqrt(kept) * images + sqrt(1 - kept) * noise``, ``kept`` being one cumulative product per image, ``[B]``."""
    share = kept.to(images.dtype).view(-1, 1, 1, 1)
    return share.sqrt() * images + (1 - share).sqrt() * noise
