"""The student of Reverse Distillation: an encoder turned round, which restores the teacher's layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from variad.detectors.reverse_distillation.one_class_embedding import OneClassEmbedding, fitted
from variad.detectors.reverse_distillation.residual_block import BlockKind, ResidualBlock


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
        self.embedding = OneClassEmbedding(
            encoder.channels, encoder.strides, widths.block, widths.embedding_blocks, widths.embedding_width_factor
        )
        self.decoder = FeatureDecoder(self.embedding.channels, encoder, widths)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Restored layers of the teacher's ``features``, each ``[B, C, h, w]``, shallow to deep."""
        return self.decoder(self.embedding(features), [layer.shape[2:] for layer in features])


class FeatureDecoder(nn.Module):
    """Raises an embedding to the encoder's deepest layer, and from each layer to the next shallower one."""

    def __init__(self, inputs: int, encoder: Encoder, widths: StudentWidths) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        ups = (2, *reversed(encoder.strides))  # the embedding has half the deepest grid
        layers = zip(reversed(encoder.channels), reversed(encoder.rectified), widths.blocks, ups, strict=True)
        for outputs, rectified, blocks, up in layers:
            self.levels.append(_level(inputs, outputs, up, blocks, rectified, widths))
            inputs = outputs

    def forward(self, embedding: Tensor, grids: Sequence[Sequence[int]]) -> list[Tensor]:
        """Layers ``[B, C, h, w]``, shallow to deep, on ``grids`` (h, w)."""
        restored = [embedding]
        for level, grid in zip(self.levels, reversed(grids), strict=True):
            restored.append(fitted(level(restored[-1]), grid))
        return restored[:0:-1]


def _level(inputs: int, outputs: int, up: int, blocks: int, rectified: bool, widths: StudentWidths) -> nn.Sequential:
    """Residual blocks, the first of which raises the resolution; the last ends as the encoder's layer does."""
    ends = [True] * (blocks - 1) + [rectified]
    channels = pairwise([inputs] + [outputs] * blocks)
    made = [
        ResidualBlock(
            widths.block, before, after, up=1 if index else up, width_factor=widths.width_factor, rectified=ends[index]
        )
        for index, (before, after) in enumerate(channels)
    ]
    return nn.Sequential(*made)
