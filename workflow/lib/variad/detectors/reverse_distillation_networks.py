"""The student of Reverse Distillation: an encoder turned round, which restores the teacher's layers.

A one-class embedding fuses and condenses all layers (Deng & Li, CVPR 2022, section 3.2); a decoder raises it again,
layer by layer. Both are made of residual blocks, whose batch normalisation folds away after training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

BlockKind = Literal["basic", "bottleneck"]
BLOCK_KINDS = ("basic", "bottleneck")
_EXPANSION = 4  # channels of a bottleneck block over those inside it, before the width factor


@dataclass(frozen=True)
class Encoder:
    """What the student must know of its frozen teacher; entries by layer, shallow to deep.

    Attributes:
        channels: of each layer.
        strides: from each layer to the next deeper one, at least 1; one less than there are layers.
        rectified: whether a layer's features are never negative, as after a ReLU.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    rectified: tuple[bool, ...]


@dataclass(frozen=True)
class StudentWidths:
    """Size of the student; ``blocks`` of the decoder by level, the deepest one first."""

    block: BlockKind
    width_factor: float
    blocks: tuple[int, ...]
    embedding_blocks: int
    embedding_width_factor: float


class Student(nn.Module):
    """One-class embedding, and the decoder behind it."""

    def __init__(self, encoder: Encoder, widths: StudentWidths) -> None:
        super().__init__()
        self.embedding = OneClassEmbedding(encoder, widths)
        self.decoder = FeatureDecoder(self.embedding.channels, encoder, widths)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Restored layers of the teacher's ``features``, each ``[B, C, h, w]``, shallow to deep."""
        return self.decoder(self.embedding(features), [layer.shape[2:] for layer in features])


class OneClassEmbedding(nn.Module):
    """Brings all layers to the deepest grid, and condenses them (Deng & Li, CVPR 2022, section 3.2).

    A layer takes as many strided 3 x 3 convolutions as there are deeper layers, to the channels of one after another;
    then come the residual blocks of one more ResNet stage: half the deepest grid, twice its channels.
    """

    def __init__(self, encoder: Encoder, widths: StudentWidths) -> None:
        super().__init__()
        channels, strides = encoder.channels, encoder.strides
        self.fusion = nn.ModuleList(_descent(channels[level:], strides[level:]) for level in range(len(channels)))
        self.channels, kind, factor = 2 * channels[-1], widths.block, widths.embedding_width_factor
        blocks = [ResidualBlock(kind, len(channels) * channels[-1], self.channels, down=2, width_factor=factor)]
        for _ in range(widths.embedding_blocks - 1):
            blocks.append(ResidualBlock(kind, self.channels, self.channels, width_factor=factor))
        self.embedding = nn.Sequential(*blocks)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Embedding ``[B, 2 C, h / 2, w / 2]`` of layers ``[B, C, h, w]``, shallow to deep; C, h, w of the deepest."""
        grid = features[-1].shape[2:]
        fused = [fitted(descend(layer), grid) for descend, layer in zip(self.fusion, features, strict=True)]
        embedding: Tensor = self.embedding(torch.cat(fused, dim=1))
        return embedding


def _descent(channels: Sequence[int], strides: Sequence[int]) -> nn.Sequential:
    steps: list[nn.Module] = []
    for inputs, outputs, stride in zip(channels, channels[1:], strides, strict=False):
        steps += [spatial_norm(inputs, outputs, stride), nn.ReLU(inplace=True)]
    return nn.Sequential(*steps)


class FeatureDecoder(nn.Module):
    """Raises an embedding to the encoder's deepest layer, and from each layer to the next shallower one.

    A level is so many residual blocks, the first of which raises the resolution.
    """

    def __init__(self, inputs: int, encoder: Encoder, widths: StudentWidths) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        ups = (2, *reversed(encoder.strides))  # the embedding has half the deepest grid
        layers = zip(reversed(encoder.channels), reversed(encoder.rectified), widths.blocks, ups, strict=True)
        for outputs, rectified, blocks, up in layers:
            ends = [True] * (blocks - 1) + [rectified]  # the last block ends as the encoder's layer does
            made = [
                ResidualBlock(
                    widths.block, outputs if index else inputs, outputs, up=1 if index else up,
                    width_factor=widths.width_factor, rectified=end,
                )
                for index, end in enumerate(ends)
            ]  # fmt: skip
            self.levels.append(nn.Sequential(*made))
            inputs = outputs

    def forward(self, embedding: Tensor, grids: Sequence[Sequence[int]]) -> list[Tensor]:
        """Layers ``[B, C, h, w]``, shallow to deep, on ``grids`` (h, w)."""
        restored = [embedding]
        for level, grid in zip(self.levels, reversed(grids), strict=True):
            restored.append(fitted(level(restored[-1]), grid))
        return restored[:0:-1]


def fitted(features: Tensor, grid: Sequence[int]) -> Tensor:
    """Features on ``grid`` (h, w); bilinear where a backbone's grids are no multiples of each other."""
    if features.shape[2:] == tuple(grid):
        return features
    return functional.interpolate(features, tuple(grid), mode="bilinear", align_corners=False)


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


class ConvBatchNorm(nn.Sequential):
    """A convolution without bias, and its batch normalisation."""


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> ConvBatchNorm:
    """Convolution and normalisation; h is divided by ``stride`` and rounded up. ``kernel`` is odd."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    # the initialisation that the Reverse Distillation paper takes over from ResNet
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return ConvBatchNorm(convolution, nn.BatchNorm2d(outputs))


def transposed_norm(inputs: int, outputs: int, factor: int) -> ConvBatchNorm:
    """Transposed convolution without overlap, and normalisation; h is multiplied by ``factor``."""
    return ConvBatchNorm(nn.ConvTranspose2d(inputs, outputs, factor, factor, bias=False), nn.BatchNorm2d(outputs))


def spatial_norm(inputs: int, outputs: int, stride: int) -> ConvBatchNorm:
    """Convolution that sees all positions that its stride passes over: 3 x 3 up to a stride of 3."""
    return conv_norm(inputs, outputs, max(3, 2 * (stride // 2) + 1), stride)


def _resampling(inputs: int, outputs: int, down: int, up: int) -> ConvBatchNorm:
    return transposed_norm(inputs, outputs, up) if up > 1 else spatial_norm(inputs, outputs, down)


def fold_normalisation(network: nn.Module) -> nn.Module:
    """Put every trained batch normalisation into its convolution, in place: equal outputs, about half the passes."""
    network.eval().requires_grad_(False)
    for pair in [module for module in network.modules() if isinstance(module, ConvBatchNorm)]:
        transposed = isinstance(pair[0], nn.ConvTranspose2d)
        convolution, norm = cast(nn.Conv2d, pair[0]), cast(nn.BatchNorm2d, pair[1])
        fused = fuse_conv_bn_eval(convolution, norm, transpose=transposed)
        pair[0], pair[1] = fused, nn.Identity()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)
