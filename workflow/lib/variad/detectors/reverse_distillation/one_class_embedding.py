"""The bottleneck of Reverse Distillation: multi-scale feature fusion and one-class embedding."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from variad.detectors.reverse_distillation.residual_block import BlockKind, ResidualBlock, spatial_norm


class OneClassEmbedding(nn.Module):
    """Brings all layers to the deepest grid, and condenses them (Deng & Li, CVPR 2022, section 3.2).

    A layer takes as many strided 3 x 3 convolutions as there are deeper layers, to the channels of one after another;
    then come the residual blocks of one more ResNet stage: half the deepest grid, twice its channels.

    Args:
        channels: of the encoder's layers, shallow to deep.
        strides: from each layer to the next deeper one.
        blocks: residual blocks after the fusion.
    """

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], kind: BlockKind, blocks: int, width_factor: float
    ) -> None:
        super().__init__()
        self.fusion = nn.ModuleList(_descent(channels[level:], strides[level:]) for level in range(len(channels)))
        self.channels = 2 * channels[-1]
        first = ResidualBlock(kind, len(channels) * channels[-1], self.channels, down=2, width_factor=width_factor)
        more = [ResidualBlock(kind, self.channels, self.channels, width_factor=width_factor) for _ in range(blocks - 1)]
        self.embedding = nn.Sequential(first, *more)

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


def fitted(features: Tensor, grid: Sequence[int]) -> Tensor:
    """Features on ``grid`` (h, w); bilinear where a backbone's grids are no multiples of each other."""
    if features.shape[2:] == tuple(grid):
        return features
    return functional.interpolate(features, tuple(grid), mode="bilinear", align_corners=False)
