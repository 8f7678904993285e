"""A trained diffusion model: the network that predicts noise, and the noise schedule it was trained with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from variad.precision import autocast

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel

# Replaces the mid block's output ``[B, C, h, w]`` at time step ``t`` by a tensor of the same shape.
HEdit = Callable[[Tensor, int], Tensor]


@runtime_checkable
class PerImageEdit(Protocol):
    """An edit that differs from image to image, so that a batch needs its own part of it."""

    def __call__(self, h: Tensor, t: int) -> Tensor: ...

    def part(self, rows: slice) -> Self:
        """The edit of some of the images."""
        ...


@dataclass(frozen=True)
class DiffusionModel:
    """A frozen network in evaluation mode with its schedule.

    Attributes:
        unet: predicts the noise in its first three output channels (ADM's other three are a variance, unused here).
        alphas_cumprod: cumulative products of ``1 - beta``, float64 ``[T]`` on the CPU; noisier as the index grows.
        resolution: side in pixels of the images, which are ``[B, 3, resolution, resolution]`` in [-1, 1].
        skip_free_levels: number of the coarsest levels whose decoder gets no skips; 0 is a plain U-Net.
        precision: of the network's arithmetic; everything outside it is float32.
    """

    unet: "UNet2DModel"
    alphas_cumprod: Tensor
    resolution: int
    skip_free_levels: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.unet.parameters()).device

    @property
    def times(self) -> int:
        """Number of time steps T of the training."""
        return len(self.alphas_cumprod)

    def kept(self, t: int) -> float:
        """The cumulative product at ``t``: the share of an image's power that noising keeps; 1 for ``t < 0``."""
        return float(self.alphas_cumprod[t]) if t >= 0 else 1.0

    def epsilon(self, x: Tensor, t: int, h: HEdit | None = None) -> Tensor:
        """The noise that the network sees in ``x`` at time step ``t``, float32 ``[B, 3, R, R]``.

        Args:
            x: noisy images ``[B, 3, R, R]``.
            h: edits the mid block's output on the way; gradients flow through it.
        """
        with edited(self.unet, h, t), autocast(self.precision, x.device):
            found: Tensor = self.unet(x, t).sample
        return found[:, :3].float()


@contextmanager
def edited(unet: "UNet2DModel", edit: HEdit | None, t: int) -> Iterator[None]:
    """While it is open, ``edit`` replaces the mid block's output; it sees float32 whatever the network computes in."""
    if edit is None:
        yield
        return

    def replace(_module: object, _inputs: object, output: Tensor) -> Tensor:
        return edit(output.float(), t).to(output.dtype)

    hook = unet.mid_block.register_forward_hook(replace)
    try:
        yield
    finally:
        hook.remove()
