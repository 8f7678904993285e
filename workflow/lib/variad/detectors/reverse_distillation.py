"""Reverse Distillation: a student restores a frozen teacher's features (Deng & Li, CVPR 2022).

Where it fails to, an image is anomalous. Only the student is trained, on features that were computed once; no images
are needed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.images import FeatureMaps
from variad.core.precision import in_bfloat16, of_scores, products
from variad.detectors.anomaly_map import gaussian_matrix
from variad.detectors.interface import (
    COUNT,
    COUNT_OR_NULL,
    PRECISION,
    DetectorInput,
    Extractor,
    Range,
    Scored,
    Tensors,
    check_settings,
    is_count,
    is_number,
)
from variad.detectors.reverse_distillation_networks import (
    BLOCK_KINDS,
    BlockKind,
    Encoder,
    Student,
    StudentWidths,
    fold_normalisation,
)
from variad.networks.gpu_steps import ReplayedStep, is_cuda
from variad.networks.training import FusedAdam, Plateau, seeded
from variad.networks.weights import read_tensors, write_tensors

_COUNT_OR_NULL: Range = ("a whole number of at least 1, or null", COUNT_OR_NULL[1])
_POSITIVE: Range = ("a number above 0", lambda value: is_number(value) and value > 0)
_RANGES: dict[str, Range] = {
    "epochs": COUNT,
    "max_steps": _COUNT_OR_NULL,
    "batch_size": COUNT,
    "learning_rate": _POSITIVE,
    "block": (" or ".join(BLOCK_KINDS), BLOCK_KINDS.__contains__),
    "width_factor": _POSITIVE,
    "blocks": (
        "whole numbers of at least 1, one for each layer, the deepest first",
        lambda value: len(value) > 0 and all(map(is_count, value)),
    ),
    "embedding_blocks": COUNT,
    "embedding_width_factor": _POSITIVE,
    "precision": PRECISION,
    "patience": _COUNT_OR_NULL,
    "resolution": _COUNT_OR_NULL,
}
BETAS = (0.5, 0.999)  # of Adam, section 4.1
SMALLEST = 1e-8  # of a norm, so that features that are all zero divide by no zero
PAPER_STRIDE = 4  # pixels a position, of the shallowest layer of the paper's encoder
_SCORED_ON_GPU = 16  # images at once; on a CPU one, as sums of other batches may be added in another order
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
        precision: of the convolutions in training, ``float32``, ``tf32`` or ``bfloat16``; in scoring on a GPU alone
            (``core.precision.of_scores``).
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
        blocks = list(blocks)
        self.settings = {name: value for name, value in locals().items() if name not in ("self", "extractor", "device")}
        check_settings("reverse_distillation", self.settings, _RANGES)
        self.widths = StudentWidths(block, width_factor, tuple(blocks), embedding_blocks, embedding_width_factor)
        self.half, self.resolution, self.device = in_bfloat16(precision, device), resolution, device
        self.encoder: Encoder | None = None
        self.student: torch.nn.Module | None = None
        self.losses: list[float] = []

    def fit(self, training: DetectorInput, generator: np.random.Generator) -> None:
        """Train the student; see ``Detector.fit``. ``losses`` then holds each epoch's mean."""
        self.encoder = describe_encoder(training.features, len(self.widths.blocks))
        teacher = [torch.from_numpy(values).to(self.device) for values in training.features.values()]
        with products(self.settings["precision"], self.device), seeded(generator) as order:
            student = self._new_student(self.encoder)
            self.losses = self._train(student, teacher, order)
        self.student = fold_normalisation(student)

    def _new_student(self, encoder: Encoder) -> Student:
        student = Student(encoder, self.widths)
        # on CPUs the fused optimiser would copy weights that are channels-last, for nothing gained
        return student if self.device == "cpu" else student.to(self.device).to(memory_format=torch.channels_last)

    def _train(self, student: Student, teacher: Sequence[Tensor], generator: torch.Generator) -> list[float]:
        """Train in place; the mean loss of each epoch.

        Args:
            teacher: layers ``[N, h, w, C]``, shallow to deep, on the student's device.
            generator: shuffles the images of an epoch; on the CPU.
        """
        s, images = self.settings, len(teacher[0])
        left = s["epochs"] * math.ceil(images / s["batch_size"])
        left = min(left, s["max_steps"] or left)
        student.train()
        optimiser = FusedAdam(student.parameters(), s["learning_rate"], BETAS)

        def move(rows: Tensor) -> Tensor:
            """One step on some of the images; the loss before it."""
            chosen = [layer[rows] for layer in teacher]
            loss = distillation_loss(chosen, restore(student, chosen, self.half))
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            return loss.detach()

        step = ReplayedStep(move, teacher[0].device)
        plateau, means = Plateau(s["patience"]), []
        with tqdm(total=left, unit="step", desc="student", mininterval=5, disable=None) as progress:
            while left:
                order = torch.randperm(images, generator=generator).to(teacher[0].device)
                losses = []
                for rows in order.split(s["batch_size"])[:left]:
                    losses.append(step(rows))
                left -= len(losses)
                progress.update(len(losses))
                means.append(torch.stack(losses).mean())
                if s["patience"] is not None and plateau.reached(means[-1].item()):
                    break
        return torch.stack(means).tolist()

    def score(self, images: DetectorInput) -> Scored:
        """Distances of restored features as maps, the maximum of the smoothed map as score; see ``Detector.score``."""
        layers = list(images.features.values())
        resolution = self.resolution or PAPER_STRIDE * layers[0].shape[1]
        size = _SCORED_ON_GPU if is_cuda(self.device) else 1
        starts = range(0, len(layers[0]), size)
        maps = [self._maps([values[row : row + size] for values in layers], resolution) for row in starts]
        if not maps:
            return Scored(np.empty(0, np.float32), np.empty((0, resolution, resolution), np.float32))
        stacked = torch.cat(maps)
        smooth = torch.from_numpy(gaussian_matrix(resolution, self.map_sigma)).float().to(self.device)
        if is_cuda(stacked.device):
            scores = torch.cat([(smooth @ some @ smooth.T).amax(dim=(1, 2)) for some in maps])
        else:
            scores = torch.stack([(smooth @ one @ smooth.T).max() for one in stacked])
        return Scored(scores.cpu().numpy(), stacked.cpu().numpy())

    @torch.inference_mode()
    def _maps(self, layers: Sequence[np.ndarray[Any, Any]], resolution: int) -> Tensor:
        assert self.student is not None  # fitted or loaded
        teacher = [torch.from_numpy(values).to(self.device) for values in layers]
        precision = of_scores(self.settings["precision"], self.device)
        with products(precision, self.device):
            restored = restore(self.student, teacher, in_bfloat16(precision, self.device))
        return summed_maps(distance_maps(teacher, restored), resolution)

    def save(self, path: Path) -> None:
        """Write the student, what it knows of its teacher, and settings."""
        assert self.student is not None and self.encoder is not None
        tensors = {name: value.contiguous() for name, value in self.student.state_dict().items()}
        # one entry, since the order of several is drawn anew by every process, and bytes must be reproducible
        metadata = {"detector": json.dumps({"settings": self.settings, "encoder": asdict(self.encoder)})}
        write_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read what ``save`` wrote."""
        return cls.from_tensors(*read_tensors(path), device)

    @classmethod
    def from_tensors(cls, tensors: Tensors, metadata: Mapping[str, str], device: str = "cpu") -> Self:
        """See ``BundledDetector.from_tensors``."""
        described = json.loads(metadata["detector"])
        detector = cls(**described["settings"], device=device)
        detector.encoder = Encoder(**{name: tuple(values) for name, values in described["encoder"].items()})
        detector.student = fold_normalisation(detector._new_student(detector.encoder))
        detector.student.load_state_dict({name: torch.as_tensor(values) for name, values in tensors.items()})
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


def restore(student: nn.Module, teacher: Sequence[Tensor], half: bool) -> list[Tensor]:
    """The student's version of layers ``[B, h, w, C]``, float32 of the same shapes."""
    dtype = torch.bfloat16 if half else torch.float32
    # channels last in memory, channels first in name: no copy is made
    given = [layer.to(dtype).permute(0, 3, 1, 2) for layer in teacher]
    with torch.autocast(teacher[0].device.type, torch.bfloat16, enabled=half):
        restored: list[Tensor] = student(given)
    return [layer.permute(0, 2, 3, 1).float() for layer in restored]


def distillation_loss(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> Tensor:
    """Sum over layers of 1 - cosine similarity of whole maps, mean over images; layers are ``[B, h, w, C]``.

    The paper's equation 2 averages over positions; its authors' code, and everyone's since, takes the whole map as one
    vector, as is done here.
    """
    return torch.stack([_map_distance(*layers).mean() for layers in zip(teacher, student, strict=True)]).sum()


def _map_distance(teacher: Tensor, student: Tensor) -> Tensor:
    if teacher.is_cuda:  # a product of two vectors would keep one of its processors busy, and the others waiting
        return 1 - functional.cosine_similarity(student.flatten(1), teacher.flatten(1), dim=1, eps=SMALLEST)
    # products of matrices read each map once and write none, unlike functional.cosine_similarity
    teacher, student = teacher.flatten(1)[:, None], student.flatten(1)[:, None]
    lengths = _squares(teacher).clamp_min(SMALLEST**2) * _squares(student).clamp_min(SMALLEST**2)
    return 1 - torch.bmm(student, teacher.transpose(1, 2)).flatten() / lengths.sqrt()


def _squares(rows: Tensor) -> Tensor:
    return torch.bmm(rows, rows.transpose(1, 2)).flatten()


def distance_maps(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> list[Tensor]:
    """1 - cosine similarity at every position (equation 1), ``[B, h, w]`` of layers ``[B, h, w, C]``."""
    pairs = zip(teacher, student, strict=True)
    return [1 - functional.cosine_similarity(ours, theirs, dim=3, eps=SMALLEST) for ours, theirs in pairs]


def summed_maps(distances: Sequence[Tensor], resolution: int) -> Tensor:
    """Sum of maps ``[B, h, w]``, each enlarged first (bilinear, corners on corners as in the authors' code).

    Returns:
        ``[B, resolution, resolution]``.
    """
    size = (resolution, resolution)
    enlarged = [functional.interpolate(maps[:, None], size, mode="bilinear", align_corners=True) for maps in distances]
    return torch.stack(enlarged).sum(dim=0)[:, 0]
