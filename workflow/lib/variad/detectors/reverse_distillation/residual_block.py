"""Residual blocks that keep, lower or raise the resolution; batch normalisation folds away after training."""

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

BlockKind = Literal["basic", "bottleneck"]
BLOCK_KINDS = ("basic", "bottleneck")
_EXPANSION = 4  # channels of a bottleneck block over those inside it, before the width factor


class ResidualBlock(nn.Module):
    """Basic or bottleneck block of ResNet, ``[B, inputs, h, w]`` to ``[B, outputs, h', w']``.

    Args:
        kind: ``basic`` is two 3 x 3 convolutions, ``bottleneck`` 1 x 1, 3 x 3, 1 x 1.
        down: stride of the first 3 x 3 convolution; h' is h / down, rounded up.
        up: side of the transposed convolution that takes the place of the first 3 x 3 one; h' is h * up. The decoder
            of Reverse Distillation is made of these (Deng & Li, CVPR 2022, section 3.1).
        width_factor: widens the inside of a bottleneck block: 2 in the Wide ResNets. No meaning for ``basic``.
        rectified: whether it ends with a ReLU.
    """

    def __init__(
        self,
        kind: BlockKind,
        inputs: int,
        outputs: int,
        *,
        down: int = 1,
        up: int = 1,
        width_factor: float = 1,
        rectified: bool = True,
    ) -> None:
        super().__init__()
        if kind == "basic":
            layers = [_resampling(inputs, outputs, down, up), nn.ReLU(inplace=True), conv_norm(outputs, outputs, 3)]
        else:
            width = max(1, int(outputs / _EXPANSION * width_factor))
            layers = [conv_norm(inputs, width, 1), nn.ReLU(inplace=True), _resampling(width, width, down, up)]
            layers += [nn.ReLU(inplace=True), conv_norm(width, outputs, 1)]
        self.residual = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if down > 1 or up > 1 or inputs != outputs:
            self.shortcut = transposed_norm(inputs, outputs, up) if up > 1 else conv_norm(inputs, outputs, 1, down)
        self.rectified = rectified

    def forward(self, features: Tensor) -> Tensor:
        """The block's output, one resolution or another."""
        total = self.residual(features).add_(self.shortcut(features))
        return total.relu_() if self.rectified else total


class ConvNorm(nn.Sequential):
    """A convolution without bias, and its batch normalisation."""


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> ConvNorm:
    """Convolution and normalisation; h is divided by ``stride`` and rounded up. ``kernel`` is odd."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    # the initialisation that the Reverse Distillation paper takes over from ResNet
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return ConvNorm(convolution, nn.BatchNorm2d(outputs))


def transposed_norm(inputs: int, outputs: int, factor: int) -> ConvNorm:
    """Transposed convolution without overlap, and normalisation; h is multiplied by ``factor``."""
    return ConvNorm(nn.ConvTranspose2d(inputs, outputs, factor, factor, bias=False), nn.BatchNorm2d(outputs))


def spatial_norm(inputs: int, outputs: int, stride: int) -> ConvNorm:
    """Convolution that sees all positions that its stride passes over: 3 x 3 up to a stride of 3."""
    return conv_norm(inputs, outputs, max(3, 2 * (stride // 2) + 1), stride)


def _resampling(inputs: int, outputs: int, down: int, up: int) -> ConvNorm:
    return transposed_norm(inputs, outputs, up) if up > 1 else spatial_norm(inputs, outputs, down)


def fold_normalisation(network: nn.Module) -> nn.Module:
    """Put every trained batch normalisation into its convolution, in place: equal outputs, about half the passes."""
    network.eval().requires_grad_(False)
    for pair in [module for module in network.modules() if isinstance(module, ConvNorm)]:
        transposed = isinstance(pair[0], nn.ConvTranspose2d)
        convolution, norm = cast(nn.Conv2d, pair[0]), cast(nn.BatchNorm2d, pair[1])
        fused = fuse_conv_bn_eval(convolution, norm, transpose=transposed)
        pair[0], pair[1] = fused, nn.Identity()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)
