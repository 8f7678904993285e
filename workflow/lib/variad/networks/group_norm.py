"""A frozen group norm with the SiLU behind it, in the layout of its neighbours on a GPU.

torch's own on a GPU turns what lies channels last into planes, which the convolutions around it turn back: two fifths
of the time of a guided step in bfloat16. Here norm and activation are one pass forward and one back besides those
that sum, and of all that is between them only the input is kept.
"""

import functools
import logging
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

TILE = 4096  # numbers that a program of the kernels holds at once
PROGRAMS, CHUNKS = 1024, 64  # programs that fill a GPU, and most chunks of an image, a power of two
log = logging.getLogger("variad")


class FrozenGroupNorm(nn.Module):
    """``silu(group_norm(x))``, or the norm alone, with gradients for ``x`` alone."""

    weight: Tensor
    bias: Tensor

    def __init__(self, norm: nn.GroupNorm, silu: bool) -> None:
        """
        Args:
            norm: with weight and bias.
            silu: whether a SiLU follows.
        """
        super().__init__()
        self.groups, self.eps, self.silu = norm.num_groups, norm.eps, silu
        self.register_buffer("weight", norm.weight.detach().clone())
        self.register_buffer("bias", norm.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` or ``[B, C, N]`` to the same shape, order and precision."""
        if x.is_cuda and norms_stay_channels_last(x.device):
            images = x if x.dim() == 4 else x.unsqueeze(-1)
            return fused(images, self.weight, self.bias, self.groups, self.eps, self.silu).view_as(x)
        y = functional.group_norm(x, self.groups, self.weight, self.bias, self.eps)
        return functional.silu(y) if self.silu else y


def fused(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
    """The norm of ``x`` ``[B, C, H, W]`` by the kernels, sums in float32 whatever its precision; channels last."""
    y: Tensor = _Fused.apply(x, weight, bias, groups, eps, silu)  # type: ignore[no-untyped-call]
    return y


def norms_stay_channels_last(device: torch.device) -> bool:
    """Whether a norm on this device gives images channels last as it gets them; torch's own does on a CPU alone."""
    if device.type != "cuda":
        return True
    return _kernels_run(torch.cuda.current_device() if device.index is None else device.index)


@functools.cache
def _kernels_run(index: int) -> bool:
    """Whether the kernels run on this GPU and give what torch gives; a log says so where they do not.

    They are compiled at first use, for which Triton needs a C compiler; some installations have neither.
    """
    try:
        x = torch.randn(2, 32, 5, 7, device=torch.device("cuda", index))
        weight, bias = torch.linspace(0.5, 1.5, 32).to(x), torch.linspace(-1, 1, 32).to(x)
        wanted = functional.silu(functional.group_norm(x, 4, weight, bias, 1e-6))
        torch.testing.assert_close(fused(x, weight, bias, 4, 1e-6, True), wanted, rtol=1e-4, atol=1e-4)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of Triton, its compiler or the driver: all have one answer, torch's own norm
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        log.warning("group norm: no kernels of ours on this GPU (%s); by torch's, in planes and slower", reason)
        return False
    return True


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
        from variad.networks import group_norm_kernels as kernels

        x = x.contiguous(memory_format=torch.channels_last)
        size = _Size(x, groups)
        sums = x.new_empty((size.images, size.chunks, 2, size.channels), dtype=torch.float32)
        scale, shift = x.new_empty((2, size.images, size.channels), dtype=torch.float32)
        mean, rstd = x.new_empty((2, size.images, groups), dtype=torch.float32)
        kernels.channel_sums[size.by_chunks](x, sums, size.positions, size.rows, **size.tile)
        kernels.moments[size.by_groups](
            x, sums, weight, bias, scale, shift, mean, rstd, size.positions, size.chunks, eps, **size.group
        )
        y = torch.empty_like(x)
        kernels.normalise[size.by_tiles](x, y, scale, shift, size.positions, SILU=silu, **size.tile)
        ctx.save_for_backward(x, weight, scale, shift, mean, rstd)
        ctx.groups, ctx.silu = groups, silu
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from variad.networks import group_norm_kernels as kernels

        x, weight, *known = ctx.saved_tensors  # scale, shift, mean, rstd
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        size = _Size(x, ctx.groups)
        sums = x.new_empty((size.images, size.chunks, 2, size.channels), dtype=torch.float32)
        means = x.new_empty((2, size.images, ctx.groups), dtype=torch.float32)
        choices = {"D": size.group["D"], "SILU": ctx.silu, **size.tile}
        kernels.gradient_sums[size.by_chunks](x, gradient, sums, *known, size.positions, size.rows, **choices)
        kernels.gradient_means[size.by_groups](sums, weight, means, size.positions, size.chunks, **size.group)
        found = torch.empty_like(x)
        kernels.gradient_of_input[size.by_tiles](
            x, gradient, found, *known, means, size.images, size.positions, **choices
        )
        return found, None, None, None, None, None


class _Size:
    """How the kernels divide ``[B, C, H, W]``: into chunks of positions, groups of channels, and tiles of positions."""

    def __init__(self, x: Tensor, groups: int) -> None:
        self.images, self.channels = x.shape[:2]
        self.positions = x.shape[2] * x.shape[3]
        width = _power_of_two(self.channels)
        height = max(1, TILE // width)
        wanted = min(CHUNKS, math.ceil(PROGRAMS / self.images))
        self.rows = math.ceil(self.positions / wanted / height) * height
        self.chunks = math.ceil(self.positions / self.rows)
        self.tile = {"C": self.channels, "ROWS": height, "WIDTH": width}
        each = self.channels // groups
        self.group = {"C": self.channels, "D": each, "CHUNKS": CHUNKS, "WIDTH": _power_of_two(each)}
        self.by_chunks, self.by_groups = (self.images, self.chunks), (self.images, groups)
        self.by_tiles = (math.ceil(self.positions / height), self.images)


def _power_of_two(number: int) -> int:
    """The smallest that is not below ``number``."""
    return 1 << (number - 1).bit_length()
