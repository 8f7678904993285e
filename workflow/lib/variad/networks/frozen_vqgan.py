"""A frozen VQGAN as its device wants it: in which order images lie, and what its weights are stored in.

On a CPU it stays as it is, channels last. On a GPU its encoder and decoder become rows of layers: weights in the
precision of the steps, and every norm with its activation in one layer that keeps the order of the convolutions beside
it. Quantising, and the convolutions in front of and behind it, stay in float32.
"""

import copy
from collections.abc import Iterator
from typing import Any, Self

import torch
from taming.modules.diffusionmodules.model import ResnetBlock
from torch import Tensor, nn

from variad.core.precision import Arithmetic
from variad.networks.group_norm import FrozenGroupNorm, norms_stay_channels_last
from variad.networks.vqgan import VQGAN


def on_device(model: VQGAN, arithmetic: Arithmetic, device: str | torch.device) -> VQGAN:
    """The same frozen network for use on ``device``; on a GPU a copy, and ``model`` keeps its layers.

    Args:
        model: as it was loaded, or what this function made of it.
        arithmetic: of the device; its precision is that of encoder and decoder. Images and latents stay float32.
    """
    model = model.to(device)
    if not arithmetic.gpu:
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = copy.copy(model)
    found._modules = dict(model._modules)
    for name, layers_of in (("encoder", _encoder_layers), ("decoder", _decoder_layers)):
        coder: Any = getattr(model, name)
        row = coder if isinstance(coder, _Row) else _Row(coder, layers_of(coder), device)
        setattr(found, name, row.cast(arithmetic.weights))
    return found


class _Row(nn.Module):
    """taming's encoder or decoder as its layers in a row, in one precision; images keep theirs from end to end."""

    def __init__(self, coder: Any, layers: Iterator[nn.Module], device: str | torch.device) -> None:
        super().__init__()
        # torch's own group norm on a GPU knows planes alone, and turning images around it costs more than it gains
        last = norms_stay_channels_last(torch.device(device))
        self.layout = torch.channels_last if last else torch.contiguous_format
        whole = nn.Sequential(*layers, _norm(coder.norm_out, silu=True), coder.conv_out)
        self.dtype = torch.float32
        self.layers = copy.deepcopy(whole).to(memory_format=self.layout)  # type: ignore[call-overload]

    def cast(self, dtype: torch.dtype) -> Self:
        """The same with weights of ``dtype``."""
        if dtype == self.dtype:
            return self
        found = copy.deepcopy(self).to(dtype)
        found.dtype = dtype
        return found

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` in and out, in the precision of ``x``."""
        found: Tensor = self.layers(x.to(self.dtype, memory_format=self.layout))
        return found.to(x.dtype)


class _Block(nn.Module):
    """taming's residual block without what it does at training alone, its norms one with the activations behind."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(block.norm1, silu=True), _norm(block.norm2, silu=True)
        self.conv1, self.conv2 = block.conv1, block.conv2
        convolved = "conv_shortcut" if block.use_conv_shortcut else "nin_shortcut"
        self.shortcut = getattr(block, convolved) if block.in_channels != block.out_channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.conv2(self.norm2(self.conv1(self.norm1(x))))
        return self.shortcut(x) + h  # type: ignore[no-any-return]


def _norm(norm: nn.Module, silu: bool) -> nn.Module:
    if isinstance(norm, nn.GroupNorm):
        return FrozenGroupNorm(norm, silu)
    return nn.SiLU() if silu else norm


def _layer(layer: nn.Module) -> nn.Module:
    """A residual block, attention, or change of sides; attention keeps its class, with another norm."""
    if isinstance(layer, ResnetBlock):
        return _Block(layer)
    norm = getattr(layer, "norm", None)
    if isinstance(norm, nn.GroupNorm):
        layer = copy.copy(layer)
        layer._modules = {**layer._modules, "norm": FrozenGroupNorm(norm, silu=False)}
    return layer


def _middle(coder: Any) -> Iterator[nn.Module]:
    for layer in (coder.mid.block_1, coder.mid.attn_1, coder.mid.block_2):
        yield _layer(layer)


def _level(level: Any) -> Iterator[nn.Module]:
    """The residual blocks of one resolution, each with its attention if it has one."""
    for place, block in enumerate(level.block):
        yield _layer(block)
        if len(level.attn):
            yield _layer(level.attn[place])


def _encoder_layers(encoder: Any) -> Iterator[nn.Module]:
    yield encoder.conv_in
    for level in encoder.down:
        yield from _level(level)
        if hasattr(level, "downsample"):
            yield level.downsample
    yield from _middle(encoder)


def _decoder_layers(decoder: Any) -> Iterator[nn.Module]:
    yield decoder.conv_in
    yield from _middle(decoder)
    for level in reversed(decoder.up):
        yield from _level(level)
        if hasattr(level, "upsample"):
            yield level.upsample
