"""Reverse Distillation: a student restores a frozen teacher's features (Deng & Li, CVPR 2022).

Only the student is trained, on features that were computed once; no images are needed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from variad.detectors.anomaly_map import gaussian_matrix
from variad.detectors.base import DetectorInput, Extractor, Scored
from variad.detectors.randomness import seeded
from variad.detectors.reverse_distillation.feature_decoder import Encoder, Student, StudentWidths
from variad.detectors.reverse_distillation.feature_similarity import distance_maps, summed_maps
from variad.detectors.reverse_distillation.residual_block import BlockKind, fold_normalisation
from variad.detectors.reverse_distillation.settings import check_settings
from variad.detectors.reverse_distillation.training import Schedule, restore, train_student
from variad.errors import UserError
from variad.feature_files import FeatureMaps
from variad.files import writing
from variad.precision import in_bfloat16

_PAPER_STRIDE = 4  # pixels a position, of the shallowest layer of the paper's encoder
_SCORED_AT_ONCE = 16  # images
_SMALLEST_GRID = 3  # positions a side: batch normalisation of one image needs an embedding of more than one position


class ReverseDistillation:
    """Student of a one-class embedding and a decoder; the anomaly map is where it does not restore its teacher.

    Defaults are the paper's, for layers 1 to 3 of a WideResNet-50-2.

    Args:
        epochs, batch_size, learning_rate: of the training.
        max_steps: most optimiser steps; None is no limit (the paper's).
        block: residual blocks, ``bottleneck`` or ``basic`` (for ResNet-18 and -34).
        width_factor: of the decoder's bottleneck blocks; 2 for Wide ResNets.
        blocks: residual blocks of each level of the decoder, the deepest level first.
        embedding_blocks: residual blocks of the one-class embedding; 2 for ResNet-18.
        embedding_width_factor: as ``width_factor``, of the one-class embedding; anomalib's is always 1.
        precision: ``float32``, or ``bfloat16`` for the convolutions.
        patience: epochs without progress of the training loss that end the training; None never does (the paper's).
        resolution: side of the square image that the features are of, pixels. None takes ``extractor``'s and without
            one, that at which the shallowest layer has the paper's stride of 4. Maps have this resolution.
    """

    uses_images = False
    map_sigma = 4.0  # section 4.1

    def __init__(
        self,
        epochs: int = 200,
        max_steps: int | None = None,
        batch_size: int = 16,
        learning_rate: float = 0.005,
        block: BlockKind = "bottleneck",
        width_factor: float = 2,
        blocks: Sequence[int] = (3, 4, 6),
        embedding_blocks: int = 3,
        embedding_width_factor: float = 2,
        precision: str = "float32",
        patience: int | None = None,
        resolution: int | None = None,
        extractor: Extractor | None = None,
        device: str = "cpu",
    ) -> None:
        if resolution is None and extractor is not None:
            resolution = extractor.crop or extractor.resolution
        self.settings = {
            "epochs": epochs,
            "max_steps": max_steps,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "block": block,
            "width_factor": width_factor,
            "blocks": list(blocks),
            "embedding_blocks": embedding_blocks,
            "embedding_width_factor": embedding_width_factor,
            "precision": precision,
            "patience": patience,
            "resolution": resolution,
        }
        check_settings(self.settings)
        self.schedule = Schedule(epochs, max_steps, batch_size, learning_rate, patience)
        self.widths = StudentWidths(block, width_factor, tuple(blocks), embedding_blocks, embedding_width_factor)
        self.half, self.resolution, self.device = in_bfloat16(precision, device), resolution, device
        self.encoder: Encoder | None = None
        self.student: torch.nn.Module | None = None
        self.losses: list[float] = []

    def fit(self, training: DetectorInput, generator: np.random.Generator) -> None:
        """Train the student; see ``Detector.fit``. ``losses`` then holds each epoch's mean."""
        self.encoder = describe_encoder(training.features, len(self.widths.blocks))
        teacher = [torch.from_numpy(values).to(self.device) for values in training.features.values()]
        with seeded(generator) as order:
            student = self._new_student(self.encoder)
            self.losses = train_student(student, teacher, self.schedule, order, self.half)
        self.student = fold_normalisation(student)

    def _new_student(self, encoder: Encoder) -> Student:
        student = Student(encoder, self.widths)
        # on CPUs the fused optimiser would copy weights that are channels-last, for nothing gained
        return student if self.device == "cpu" else student.to(self.device).to(memory_format=torch.channels_last)

    def score(self, images: DetectorInput) -> Scored:
        """Distances of restored features as maps, the maximum of the smoothed map as score; see ``Detector.score``."""
        layers = list(images.features.values())
        resolution = self.resolution or _PAPER_STRIDE * layers[0].shape[1]
        starts = range(0, len(layers[0]), _SCORED_AT_ONCE)
        maps = [self._maps([values[row : row + _SCORED_AT_ONCE] for values in layers], resolution) for row in starts]
        if not maps:
            return Scored(np.empty(0, np.float32), np.empty((0, resolution, resolution), np.float32))
        stacked = torch.cat(maps)
        smooth = torch.from_numpy(gaussian_matrix(resolution, self.map_sigma)).float().to(self.device)
        scores = torch.stack([(smooth @ one @ smooth.T).max() for one in stacked])
        return Scored(scores.cpu().numpy(), stacked.cpu().numpy())

    @torch.inference_mode()
    def _maps(self, layers: Sequence[np.ndarray[Any, Any]], resolution: int) -> Tensor:
        assert self.student is not None  # fitted or loaded
        teacher = [torch.from_numpy(values).to(self.device) for values in layers]
        return summed_maps(distance_maps(teacher, restore(self.student, teacher, self.half)), resolution)

    def save(self, path: Path) -> None:
        """Write the student, what it knows of its teacher, and settings."""
        assert self.student is not None and self.encoder is not None
        tensors = {name: value.contiguous() for name, value in self.student.state_dict().items()}
        # one entry, since the order of several is drawn anew by every process, and bytes must be reproducible
        metadata = {"detector": json.dumps({"settings": self.settings, "encoder": asdict(self.encoder)})}
        with writing(path) as temporary:
            save_file(tensors, temporary, metadata)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read what ``save`` wrote."""
        with safe_open(path, "pt") as file:
            described = json.loads(file.metadata()["detector"])
            detector = cls(**described["settings"], device=device)
            detector.encoder = Encoder(**{name: tuple(values) for name, values in described["encoder"].items()})
            student = fold_normalisation(detector._new_student(detector.encoder))
            student.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118, no dict
        detector.student = student
        return detector


def describe_encoder(features: FeatureMaps, levels: int) -> Encoder:
    """What the student must know of the teacher, seen in its features of the training images.

    Raises:
        UserError: the decoder has another number of levels, or a grid is too small or larger than a shallower one.
    """
    names, layers = list(features), list(features.values())
    if len(layers) != levels:
        raise UserError(
            f"reverse_distillation.blocks: expected one number for each layer ({', '.join(names)}), found {levels}."
        )
    if min(layers[-1].shape[1:3]) < _SMALLEST_GRID:
        raise UserError(
            f"reverse_distillation: expected at least {_SMALLEST_GRID} x {_SMALLEST_GRID} positions in the deepest "
            f"layer, found {layers[-1].shape[1]} x {layers[-1].shape[2]} in {names[-1]}; use larger images."
        )
    return Encoder(
        channels=tuple(values.shape[3] for values in layers),
        strides=tuple(_stride(features, *pair) for pair in pairwise(names)),
        rectified=tuple(bool(values.min() >= 0) for values in layers),
    )


def _stride(features: FeatureMaps, shallow: str, deep: str) -> int:
    (height, width), (less_high, less_wide) = features[shallow].shape[1:3], features[deep].shape[1:3]
    if less_high > height or less_wide > width:
        raise UserError(
            f"reverse_distillation: expected layers from shallow to deep, found {height} x {width} positions in "
            f"{shallow} before {less_high} x {less_wide} in {deep}."
        )
    return round(height / less_high)
