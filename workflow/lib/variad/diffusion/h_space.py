"""Edits of the bottleneck of a diffusion U-Net: mixing two images, and moving along a direction.

Source: Kwon et al., Diffusion Models Already Have a Semantic Latent Space (Asyrp, ICLR 2023), where the mid block's
output is called h; Jeong et al., Training-free Content Injection using h-space in Diffusion Models (DiffStyle, WACV
2024), for the mix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from variad.diffusion.ddim import move, timesteps
from variad.diffusion.model import DiffusionModel, HEdit
from variad.errors import UserError


def slerp(first: Tensor, second: Tensor, gamma: float) -> Tensor:
    """Spherical interpolation, each image as one vector; ``first`` at ``gamma`` 0, ``second`` at 1, exactly.

    Between vectors of equal norm the norm is kept. Vectors that are parallel, or opposite, are interpolated linearly.

    Args:
        first, second: ``[B, ...]``.
    """
    flat, other = first.flatten(1).double(), second.flatten(1).double()
    norms = (flat.norm(dim=1) * other.norm(dim=1)).clamp(min=torch.finfo(torch.float64).tiny)
    angle = torch.acos(((flat * other).sum(1) / norms).clamp(-1, 1))
    sine, plain = angle.sin(), torch.full_like(angle, gamma)
    straight = sine < 1e-7
    sine = torch.where(straight, torch.ones_like(sine), sine)
    weight = torch.where(straight, 1 - plain, ((1 - gamma) * angle).sin() / sine)
    other_weight = torch.where(straight, plain, (gamma * angle).sin() / sine)
    shape = (-1, *[1] * (first.dim() - 1))
    return first * weight.view(shape).to(first.dtype) + second * other_weight.view(shape).to(first.dtype)


def mix(h_style: Tensor, h_content: Tensor, gamma: float) -> Tensor:
    """``slerp(h_style, h_content * |h_style| / |h_content|, gamma)``, norms per image; ``[B, C, h, w]``.

    Source: DiffStyle, its normalised interpolation.
    """
    norms = [h.flatten(1).norm(dim=1).view(-1, 1, 1, 1) for h in (h_style, h_content)]
    return slerp(h_style, h_content * (norms[0] / norms[1].clamp(min=1e-12)), gamma)


@dataclass(frozen=True)
class StyleMix:
    """Mixes the content image's recorded bottleneck into the style image's.

    Attributes:
        content: what ``record_h`` gave for the content images, ``[steps, B, C, h, w]``, a content for each style.
        times: the time steps that it was recorded at, ``timesteps(model, steps)``.
        gamma: 0 leaves the style image as it is, 1 takes the content's bottleneck (at the style's norm).
    """

    content: Tensor
    times: Sequence[int]
    gamma: float

    def __call__(self, h: Tensor, t: int) -> Tensor:
        return mix(h, self.content[_place(self.times, t)].to(h), self.gamma)

    def part(self, rows: slice) -> "StyleMix":
        """The edit of some of the images."""
        return StyleMix(self.content[:, rows], self.times, self.gamma)


@dataclass(frozen=True)
class ScaledDirection:
    """``h + alpha * delta_h``: equation 3 of the second document.

    Attributes:
        delta_h: ``[steps, C, h, w]``, or ``[1, C, h, w]`` for one direction at all time steps.
        alpha: strength; 0 leaves the image as it is. One number for all images, or a tensor ``[B]``.
        times: the time steps of ``delta_h``; not needed where it has one.
    """

    delta_h: Tensor
    alpha: float | Tensor
    times: Sequence[int] | None = None

    def __call__(self, h: Tensor, t: int) -> Tensor:
        place = 0 if self.times is None else _place(self.times, t)
        alpha = self.alpha.to(h).view(-1, 1, 1, 1) if isinstance(self.alpha, Tensor) else self.alpha
        return h + alpha * self.delta_h[place].to(h)

    def part(self, rows: slice) -> "ScaledDirection":
        """The edit of some of the images."""
        alpha = self.alpha[rows] if isinstance(self.alpha, Tensor) else self.alpha
        return ScaledDirection(self.delta_h, alpha, self.times)


@torch.no_grad()
def record_h(model: DiffusionModel, x_T: Tensor, steps: int, batch_size: int = 16) -> Tensor:
    """The mid block's outputs along a plain generation, noisiest step first, ``[steps, B, C, h, w]`` on the CPU.

    Args:
        x_T: what ``invert`` gave with as many steps, ``[B, 3, R, R]``.
    """
    falling = timesteps(model, steps)
    parts = []
    for first in range(0, len(x_T), batch_size):
        x = x_T[first : first + batch_size].to(model.device, torch.float32)
        seen: list[Tensor] = []
        for t, to in zip(falling, [*falling[1:], -1], strict=True):
            x = move(model, x, model.epsilon(x, t, _recorder(seen)), t, to)
        parts.append(torch.stack(seen))
    return torch.cat(parts, dim=1)


def _recorder(seen: list[Tensor]) -> HEdit:
    """An edit that changes nothing and appends what it sees to ``seen``."""

    def record(h: Tensor, _t: int) -> Tensor:
        seen.append(h.cpu())
        return h

    return record


def _place(times: Sequence[int], t: int) -> int:
    if t not in times:
        raise UserError(f"edit of a diffusion model: expected one of the {len(times)} time steps it has, found {t}.")
    return list(times).index(t)
