"""Deterministic diffusion (DDIM): images to noise, and noise to images with an edit of the bottleneck, called h.

The time steps and both directions are those of diffusers' ``DDIMScheduler`` and ``DDIMInverseScheduler`` with
``clip_sample=False``; nothing is clipped. Sources: Song et al., Denoising Diffusion Implicit Models (ICLR 2021),
equation 12; Kwon et al., Diffusion Models Already Have a Semantic Latent Space (Asyrp, ICLR 2023), equation 5 and
section 3.4, for the edit and the boost of quality; Jeong et al., Training-free Content Injection using h-space in
Diffusion Models (DiffStyle, WACV 2024), for mixing two images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor

from variad.core.errors import UserError
from variad.networks.diffusion_models import DiffusionModel, HEdit, PerImageEdit


def timesteps(model: DiffusionModel, steps: int) -> list[int]:
    """The time steps of a generation, noisiest first, ``T // steps`` apart, 0 the last.

    Raises:
        UserError: more steps than the model was trained with, or none.
    """
    if not 1 <= steps <= model.times:
        raise UserError(f"steps: expected 1 to {model.times}, as many as the diffusion model has, found {steps}.")
    apart = model.times // steps
    return [apart * place for place in range(steps)][::-1]


def predicted_image(model: DiffusionModel, x: Tensor, epsilon: Tensor, t: int) -> Tensor:
    """The image under ``x`` if ``epsilon`` is its noise at ``t``: ``(x - sqrt(1 - a) epsilon) / sqrt(a)``."""
    alpha_cumprod = model.alpha_cumprod(t)
    return (x - sqrt(1 - alpha_cumprod) * epsilon) / sqrt(alpha_cumprod)


def ddim_step(model: DiffusionModel, x: Tensor, epsilon: Tensor, t: int, to: int) -> Tensor:
    """``x`` at time step ``t`` carried to time step ``to``, in either direction; -1 is the image without noise."""
    alpha_cumprod = model.alpha_cumprod(to)
    return sqrt(alpha_cumprod) * predicted_image(model, x, epsilon, t) + sqrt(1 - alpha_cumprod) * epsilon


def asymmetric_step(model: DiffusionModel, x: Tensor, plain: Tensor, edited: Tensor, t: int, to: int) -> Tensor:
    """As ``ddim_step`` with the noise ``plain``, but the predicted image is that of ``edited``."""
    shift = predicted_image(model, x, edited, t) - predicted_image(model, x, plain, t)
    return ddim_step(model, x, plain, t, to) + sqrt(model.alpha_cumprod(to)) * shift


def trajectory(
    model: DiffusionModel, x_T: Tensor, steps: int, h: HEdit | None = None
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The plain generation from ``x_T`` ``[B, 3, R, R]``, noisiest first: time step, noisy images, predicted noise.

    Args:
        h: sees, or edits, the mid block's output.
    """
    x = x_T.to(model.device, torch.float32)
    for t, to in _falling(model, steps):
        epsilon = model.epsilon(x, t, h)
        yield t, x, epsilon
        x = ddim_step(model, x, epsilon, t, to)


def _falling(model: DiffusionModel, steps: int) -> list[tuple[int, int]]:
    """The time steps of a generation, each with the next, -1 behind the last."""
    falling = timesteps(model, steps)
    return list(zip(falling, [*falling[1:], -1], strict=True))


@torch.no_grad()
def invert(
    model: DiffusionModel, images: Tensor, steps: int, batch_size: int = 16, *, extrapolate: bool = True
) -> Tensor:
    """The noise ``x_T`` from which ``generate`` with as many steps makes the images again, but for a small error.

    A step of ``generate`` is undone by the noise that the network sees in its *start*, which is what is looked for.

    Args:
        images: ``[B, 3, R, R]`` in [-1, 1], R the model's resolution.
        extrapolate: look at a guess of that start, made with the noise that the last two steps extrapolate to along a
            line. False looks at the step's end instead (diffusers' ``DDIMInverseScheduler``): as many evaluations of
            the network, 50 steps of which bring an image back less well than 25 of the others.

    Returns:
        float32 ``[B, 3, R, R]`` on the CPU.

    Raises:
        UserError: the images have another size, or ``steps`` does not fit the model.
    """
    _check(model, images)
    parts = []
    for rows in _batches(len(images), batch_size):
        x = images[rows].to(model.device, torch.float32)
        seen: list[Tensor] = []
        for t, before in reversed(_falling(model, steps)):
            start = x
            if extrapolate and seen:
                start = ddim_step(model, x, 2 * seen[-1] - seen[-2] if len(seen) > 1 else seen[-1], before, t)
            seen = [*seen[-1:], model.epsilon(start, t)]
            x = ddim_step(model, x, seen[-1], before, t)
        parts.append(x.cpu())
    return torch.cat(parts) if parts else torch.empty(images.shape)


@torch.no_grad()
def generate(
    model: DiffusionModel,
    x_T: Tensor,
    steps: int,
    edit: HEdit | None = None,
    t_edit: int = 0,
    batch_size: int = 16,
    *,
    omega: float = 1.0,
    t_boost: int = 0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Images from noise by DDIM, with an edit of the bottleneck.

    The edit acts at time steps of ``t_edit`` and above, in the predicted image alone (``asymmetric_step``).

    Args:
        x_T: what ``invert`` gave with as many steps, or noise; ``[B, 3, R, R]``.
        edit: changes the mid block's output; one with a method ``part`` differs from image to image.
        omega: strength of the edit: the noise that counts is ``plain + omega * (edited - plain)``; 1 is plain use.
        t_boost: time steps below this one are stochastic (DDIM's eta is 1), which restores texture that an edit
            smoothed; 0 is none.
        generator: of the noise of ``t_boost``, on the CPU, batch by batch: another ``batch_size`` gives other noise.

    Returns:
        float32 ``[B, 3, R, R]`` on the CPU, about [-1, 1], not clamped.

    Raises:
        UserError: another size than the model's, ``steps`` does not fit it, or ``t_boost`` has no generator.
    """
    _check(model, x_T)
    if t_boost > 0 and generator is None:
        raise UserError("t_boost: expected a random generator for the noise that it adds, found none.")
    parts = []
    for rows in _batches(len(x_T), batch_size):
        own = edit.part(rows) if isinstance(edit, PerImageEdit) else edit
        x = x_T[rows].to(model.device, torch.float32)
        for t, to in _falling(model, steps):
            noise = generator if t < t_boost and to >= 0 else None
            x = _step(model, x, t, to, own if t >= t_edit else None, omega, noise)
        parts.append(x.cpu())
    return torch.cat(parts) if parts else torch.empty(x_T.shape)


def _step(
    model: DiffusionModel, x: Tensor, t: int, to: int, edit: HEdit | None, omega: float, noise: torch.Generator | None
) -> Tensor:
    """One step of ``generate``, stochastic where it has a generator ``noise``."""
    plain = model.epsilon(x, t)
    if edit is None:
        found = ddim_step(model, x, plain, t, to)
    else:
        edited = plain + omega * (model.epsilon(x, t, edit) - plain)
        found = asymmetric_step(model, x, plain, edited, t, to)
    return found if noise is None else found + _exchanged_noise(model, plain, t, to, noise)


def _exchanged_noise(model: DiffusionModel, epsilon: Tensor, t: int, to: int, generator: torch.Generator) -> Tensor:
    """What a stochastic step adds to a deterministic one: fresh noise for a part of the predicted noise."""
    alpha_cumprod, alpha_cumprod_to = model.alpha_cumprod(t), model.alpha_cumprod(to)
    variance = (1 - alpha_cumprod_to) / (1 - alpha_cumprod) * (1 - alpha_cumprod / alpha_cumprod_to)
    fresh = torch.randn(epsilon.shape, generator=generator).to(epsilon)
    return (sqrt(1 - alpha_cumprod_to - variance) - sqrt(1 - alpha_cumprod_to)) * epsilon + sqrt(variance) * fresh


def _batches(count: int, size: int) -> Iterator[slice]:
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


def _check(model: DiffusionModel, images: Tensor) -> None:
    wanted = (3, model.resolution, model.resolution)
    if images.dim() != 4 or tuple(images.shape[1:]) != wanted:
        expected = f"[B, 3, {model.resolution}, {model.resolution}] for this diffusion model"
        raise UserError(f"images: expected {expected}, found {list(images.shape)}.")


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
        return replace(self, content=self.content[:, rows])


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
        return replace(self, alpha=self.alpha[rows]) if isinstance(self.alpha, Tensor) else self


def _place(times: Sequence[int], t: int) -> int:
    if t not in times:
        raise UserError(f"edit of a diffusion model: expected one of the {len(times)} time steps it has, found {t}.")
    return list(times).index(t)


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


@torch.no_grad()
def record_h(model: DiffusionModel, x_T: Tensor, steps: int, batch_size: int = 16) -> Tensor:
    """The mid block's outputs along a plain generation, noisiest step first, ``[steps, B, C, h, w]`` on the CPU.

    Args:
        x_T: what ``invert`` gave with as many steps, ``[B, 3, R, R]``.
    """
    seen: list[Tensor] = []
    parts = [
        torch.stack([seen.pop().cpu() for _ in trajectory(model, x_T[rows], steps, recorder(seen))])
        for rows in _batches(len(x_T), batch_size)
    ]
    return torch.cat(parts, dim=1)


def recorder(seen: list[Tensor]) -> HEdit:
    """An edit that changes nothing and appends what it sees to ``seen``."""

    def record(h: Tensor, _t: int) -> Tensor:
        seen.append(h)
        return h

    return record
