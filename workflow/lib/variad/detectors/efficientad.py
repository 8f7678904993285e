"""EfficientAD: where a student disagrees with its teacher and with an autoencoder (Batzner et al., WACV 2024).

The teacher is a frozen patch description network whose features are cached; the networks that are trained are in
``efficientad_networks``, the training follows algorithm 1 of the appendix."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.images import Images
from variad.core.precision import autocast, of_scores, products
from variad.detectors.efficientad_networks import (
    NONE,
    Batch,
    PenaltyImage,
    PenaltyImages,
    StudentAndAutoencoder,
    draw_jitter,
    jitter,
)
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
    is_number,
)
from variad.networks.backbones import PDN_LAYER
from variad.networks.features import prepare, to_tensor
from variad.networks.gpu_steps import ReplayedStep, is_cuda, made_ahead, pinned, workers
from variad.networks.pdn import BORDER, NETWORKS, PDN, config_of, load_pdn, standardised
from variad.networks.training import FusedAdam, Plateau, seeded
from variad.networks.weights import CONFIG_KEY, read_tensors, save_weights

Maps = NDArray[np.float32]
QUANTILES = (0.9, 0.995)  # of the maps on normal images, which become 0 and 0.1 (section 3.3)
BLOCKS = 100  # the loss is looked at so many times in a training
DROP_AT, DROP_TO = 0.95, 0.1  # of the steps, of the learning rate
SMALLEST_SIDE = 64  # pixels
SCORED_ON_GPU = 16  # images at once, the last ones filled up: a kernel for other sizes may add in another order
SMALLEST_STD = 1e-6  # of a channel that varies
BORDERS = ("nearest", "zero")
_AT_LEAST_0: Range = ("a number of at least 0", lambda value: is_number(value) and value >= 0)
_PART: Range = ("a number in [0, 1)", lambda value: is_number(value) and 0 <= value < 1)
_RANGES: dict[str, Range] = {
    "steps": COUNT,
    "batch": COUNT,
    "views": COUNT_OR_NULL,
    "patience": COUNT_OR_NULL,
    "learning_rate": _AT_LEAST_0,
    "weight_decay": _AT_LEAST_0,
    "hard_features": _PART,
    "held_out": _PART,
    "border": (" or ".join(BORDERS), BORDERS.__contains__),
    "precision": PRECISION,
    "autoencoder": ("true or false", lambda value: isinstance(value, bool)),
    "penalty": ("'photographs', 'none' or a folder", lambda value: isinstance(value, str)),
}


@dataclass(frozen=True)
class EfficientADSettings:
    """The defaults are the paper's (Batzner et al., WACV 2024) but for ``penalty``, ``border`` and ``precision``.

    Attributes:
        steps, batch: optimiser steps, and images in a step.
        learning_rate, weight_decay: of Adam; the rate falls to a tenth after 95 % of the steps.
        hard_features: part of the squared differences that the student's loss leaves out, 0.999.
        penalty: images on which the student is to answer nothing: ``photographs`` (bundled), a folder (the paper's are
            ImageNet's), or ``none``.
        views: None computes the teacher's answer to each random view; a number draws the views from so many that are
            made, and answered, before the training.
        held_out: part of the training images that the maps' scale is measured on instead, at least one of them; with 0,
            and with a single image, it is measured on the images that were trained on.
        autoencoder: whether there is one, with its map and the student's second half. Without it (the paper's ablation)
            a training of a few hundred steps is not spoilt by an autoencoder that has not learned yet.
        border: what the 4 positions around the map get, where the networks without padding say nothing: the value of
            the ``nearest`` position, so that no defect at the border is lost, or ``zero``, as in the paper.
        precision: of the networks' products in training, ``float32``, ``tf32`` or ``bfloat16``; in scoring on a GPU
            alone, see ``core.precision.of_scores``.
        patience: hundredths of ``steps`` without progress of the loss after which training stops; None never stops.
    """

    steps: int = 70_000
    batch: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    hard_features: float = 0.999
    penalty: str = "photographs"
    views: int | None = None
    held_out: float = 0.1
    autoencoder: bool = True
    border: str = "nearest"
    precision: str = "bfloat16"
    patience: int | None = None

    def __post_init__(self) -> None:
        check_settings("efficientad", asdict(self), _RANGES)


class EfficientAD:
    """A teacher's cached features, a student and an autoencoder.

    The anomaly map is the mean of the student-teacher and the autoencoder-student map, each on the scale that its
    quantiles on held-out training images give it (section 3.3); the image score is its maximum.

    Args:
        extractor: of the cached features; its backbone is the teacher, a patch description network.
        settings: of ``EfficientADSettings``.

    Raises:
        UserError: a setting is unknown or out of range, or the extractor is no patch description network or too small;
            in ``fit``: it has no file of weights.
    """

    uses_images = True
    map_sigma = 0.0

    def __init__(self, extractor: Extractor, device: str = "cpu", **settings: Any) -> None:
        _check_extractor(extractor)
        self.settings = EfficientADSettings(**settings)
        self.extractor, self.device = extractor, device
        self.side = extractor.crop or extractor.resolution
        self.networks = self._untrained()
        self.mean = self.std = torch.zeros(self.networks.channels)
        self.ranges: list[MapRange] = []

    def fit(self, training: DetectorInput, generator: np.random.Generator) -> None:
        """Train student and autoencoder, then measure the maps' scale; see ``Detector.fit``."""
        if self.extractor.weights is None:
            raise UserError("efficientad.extractor: expected a file of weights, found None.")
        features = training.features[PDN_LAYER]
        learned, held = split_off(len(features), self.settings.held_out, generator)
        given = features[learned]
        mean, std = given.mean((0, 1, 2), np.float64), given.std((0, 1, 2), np.float64)
        std[std < SMALLEST_STD] = 1  # a channel that never varies
        self.mean, self.std = (torch.from_numpy(values).float().to(self.device) for values in (mean, std))
        with products(self.settings.precision, self.device), seeded(generator) as own:
            self.networks = self._untrained().to(self.device).to(memory_format=torch.channels_last)
            teacher = load_pdn(self.extractor.weights, self.extractor.backbone).to(self.device)
            EfficientADTraining(
                self.networks,
                TeacherAnswers(teacher, self.mean, self.std),
                self._prepared(training, learned),
                torch.from_numpy(given).to(self.device),
                self.settings,
                own,
                np.random.default_rng(generator.integers(2**63)),
            ).run()
        self.networks.eval()
        self.ranges = [MapRange.of(values) for values in self._maps(training.rows(held))]

    def score(self, images: DetectorInput) -> Scored:
        """See ``Detector.score``; maps have the receptive fields' border, a position for 4 pixels of the image."""
        normalised = [scale.normalised(values) for scale, values in zip(self.ranges, self._maps(images), strict=True)]
        maps = np.mean(normalised, axis=0)
        scores = maps.max(axis=(1, 2))
        mode: Any = {"nearest": "edge", "zero": "constant"}[self.settings.border]
        return Scored(scores, np.pad(maps, ((0, 0), (BORDER, BORDER), (BORDER, BORDER)), mode=mode))

    def _untrained(self) -> StudentAndAutoencoder:
        return StudentAndAutoencoder(config_of(self.extractor.backbone), self.side, self.settings.autoencoder)

    def _maps(self, images: DetectorInput) -> Maps:
        """``StudentAndAutoencoder.maps``, ``[2, N, h, h]``; so many images at a time that none depends on another."""
        size = SCORED_ON_GPU if is_cuda(self.device) else 1
        found, everything = [], range(len(_images(images)))
        precision = of_scores(self.settings.precision, self.device)
        with torch.inference_mode(), products(precision, self.device), autocast(precision, self.device):
            for start in range(0, len(everything), size):
                rows = list(everything[start : start + size])
                filled = rows + rows[-1:] * (size - len(rows))
                image = standardised(self._prepared(images, filled))
                features = torch.from_numpy(images.features[PDN_LAYER][filled]).to(self.device)
                answers = standardised_features(features, self.mean, self.std)
                found.append(self.networks.maps(image, answers)[:, : len(rows)])
        return torch.cat(found, dim=1).cpu().numpy()

    def _prepared(self, images: DetectorInput, rows: list[int]) -> torch.Tensor:
        """``[N, 3, side, side]`` in [0, 1], as the extractor saw them."""
        chosen = to_tensor(_images(images)[rows], self.device)
        return _channels_last(prepare(chosen, self.extractor.resolution, self.extractor.crop))

    def save(self, path: Path) -> None:
        """Write networks, the teacher's standardisation, the maps' scale, settings and extractor."""
        tensors = {**self.networks.state_dict(), "mean": self.mean, "std": self.std}
        settings, extractor = asdict(self.settings), asdict(replace(self.extractor, weights=None))  # used by now
        save_weights(path, tensors, {"settings": settings, "extractor": extractor, "ranges": self.ranges}, half=False)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read what ``save`` wrote."""
        return cls.from_tensors(*read_tensors(path), device)

    @classmethod
    def from_tensors(cls, tensors: Tensors, metadata: Mapping[str, str], device: str = "cpu") -> Self:
        """See ``BundledDetector.from_tensors``."""
        stored, given = json.loads(metadata[CONFIG_KEY]), {name: torch.as_tensor(tensors[name]) for name in tensors}
        extractor = Extractor(**{**stored["extractor"], "layers": tuple(stored["extractor"]["layers"])})
        detector = cls(extractor, device, **stored["settings"])
        detector.mean, detector.std = (given.pop(name).to(device) for name in ("mean", "std"))
        detector.networks.load_state_dict(given)
        detector.networks.to(device).to(memory_format=torch.channels_last).eval()
        detector.ranges = [MapRange(*values) for values in stored["ranges"]]
        return detector


def split_off(count: int, part: float, generator: np.random.Generator) -> tuple[list[int], list[int]]:
    """Images to train on and images to measure on: ``part`` of them, at least one.

    With ``part`` 0, and where there is one image only, all serve for both.
    """
    everything = list(range(count))
    if part == 0 or count == 1:
        return everything, everything
    measured = min(max(1, round(part * count)), count - 1)
    held = sorted(generator.choice(count, measured, replace=False).tolist())
    return sorted(set(everything) - set(held)), held


def _images(images: DetectorInput) -> Images:
    assert images.images is not None  # uses_images
    return images.images


def _check_extractor(extractor: Extractor) -> None:
    if extractor.backbone not in NETWORKS:
        found = f"expected a backbone of {', '.join(NETWORKS)}, found '{extractor.backbone}'"
        raise UserError(f"efficientad.extractor: {found}.")
    if PDN_LAYER not in extractor.layers:
        raise UserError(
            f"efficientad.extractor: expected the layer {PDN_LAYER}, found layers {', '.join(extractor.layers)}."
        )
    side = extractor.crop or extractor.resolution
    if side < SMALLEST_SIDE:
        raise UserError(f"efficientad.extractor: expected images of at least {SMALLEST_SIDE} pixels, found {side}.")


class MapRange(NamedTuple):
    """Two quantiles of a map's values on normal images, which bring the two maps to one scale."""

    low: float
    high: float

    @classmethod
    def of(cls, maps: Maps) -> Self:
        """The quantiles 0.9 and 0.995 of all positions of ``maps`` ``[N, h, w]``."""
        low, high = np.quantile(maps.astype(np.float64), QUANTILES)
        return cls(float(low), float(high))

    def normalised(self, maps: Maps) -> Maps:
        """``maps`` on the common scale; where the quantiles are equal only their level is taken away."""
        spread = self.high - self.low
        return np.asarray((maps - self.low) * (0.1 / spread if spread > 0 else 1.0), np.float32)


def standardised_features(features: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """A teacher's own output ``[B, h, h, C]``, as it is cached, to ``[B, C, h, h]`` with standardised channels."""
    return (features.permute(0, 3, 1, 2) - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)


class TeacherAnswers:
    """A frozen teacher whose channels are standardised, for images that are not cached.

    Args:
        mean, std: ``[C]``, of the training images' features.
    """

    def __init__(self, teacher: PDN, mean: Tensor, std: Tensor) -> None:
        self.teacher, self.mean, self.std = teacher, mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)

    @torch.no_grad()
    def of_images(self, images: Tensor) -> Tensor:
        """From standardised images ``[B, 3, S, S]``."""
        return (self.teacher(images).float() - self.mean) / self.std


class EfficientADTraining:
    """A training (appendix, algorithm 1), and everything that it draws from.

    Args:
        images: ``[N, 3, S, S]`` in [0, 1]; features: the teacher's output for them, ``[N, h, h, C]``.
        generator: of torch, decides images and views; penalty_generator: decides the penalty images.
    """

    def __init__(
        self,
        networks: StudentAndAutoencoder,
        answers: TeacherAnswers,
        images: Tensor,
        features: Tensor,
        settings: EfficientADSettings,
        generator: torch.Generator,
        penalty_generator: np.random.Generator,
    ) -> None:
        self.networks, self.answers, self.images, self.features = networks, answers, images, features
        self.settings, self.generator, self.penalty_generator = settings, generator, penalty_generator
        side = images.shape[-1]
        self.penalty = None if settings.penalty == NONE else PenaltyImages(settings.penalty, side)
        self.bank: tuple[Tensor, Tensor] | None = None
        if settings.views is not None and networks.autoencoder is not None:
            self.bank = self._views(self._drawn_images(settings.views))

    def run(self) -> None:
        """Train until the steps are done or the loss no longer falls."""
        s = self.settings
        optimiser = FusedAdam(self.networks.parameters(), s.learning_rate, weight_decay=s.weight_decay)
        plateau, block = Plateau(s.patience), max(1, s.steps // BLOCKS)
        total = torch.zeros((), device=self.images.device)
        self.networks.train()

        def move(*given: Tensor) -> Tensor:
            """One step on what ``_made`` gave; the loss before it."""
            batch = self.batch(*given)
            with self.autocast():
                loss = self.networks.loss(batch, s.hard_features)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            return loss.detach()

        replayed = ReplayedStep(move, self.images.device)
        made = made_ahead(self._made, self._draws(), workers(self.images.device))
        progress = tqdm(made, total=s.steps, desc="efficientad", unit="step", mininterval=5, disable=None)
        with contextlib.closing(made):
            for step, given in enumerate(progress):
                if step == int(DROP_AT * s.steps):
                    optimiser.learning_rate *= DROP_TO
                total += replayed(*given)
                if (step + 1) % block == 0:
                    if s.patience is not None and plateau.reached(total.item() / block):
                        break
                    total.zero_()

    def autocast(self) -> torch.autocast:
        """The precision of the networks' products."""
        return autocast(self.settings.precision, self.images.device)

    def _draws(self) -> Iterator["Drawn"]:
        """What is drawn for each step, on the CPU, so that devices agree."""
        size = self.settings.batch
        rows = self._drawn_images(self.settings.steps * size)
        for chosen in rows.split(size):
            penalty = [] if self.penalty is None else [self.penalty.drawn(self.penalty_generator) for _ in chosen]
            yield Drawn(chosen, *self._drawn_views(len(chosen)), penalty)

    def _made(self, drawn: "Drawn") -> tuple[Tensor, ...]:
        """What a step is given: rows, views (``_drawn_views``), and penalty images if there are any."""
        given = [drawn.rows, drawn.views, drawn.factors]
        if self.penalty is not None:
            given.append(torch.stack([self.penalty.made(one) for one in drawn.penalty]))
        return tuple(pinned(tensor, self.images.device) for tensor in given)

    def batch(self, rows: Tensor, views: Tensor, factors: Tensor, penalty: Tensor | None = None) -> Batch:
        """A step's images and answers, of what was drawn for it."""
        return Batch(
            standardised(_channels_last(self.images[rows])),
            standardised_features(self.features[rows], self.answers.mean, self.answers.std),
            *self._chosen_views(rows, views, factors),
            self.images[:0] if penalty is None else standardised(_channels_last(penalty.to(self.images.device))),
        )

    def _drawn_images(self, count: int) -> Tensor:
        """Rows of images, every image once before any comes again."""
        rounds = -(-count // len(self.images))
        orders = [torch.randperm(len(self.images), generator=self.generator) for _ in range(rounds)]
        return torch.cat(orders)[:count]

    def _drawn_views(self, count: int) -> tuple[Tensor, Tensor]:
        """Changes of colour and their factors, or rows of the bank and nothing, or without an autoencoder nothing."""
        if self.networks.autoencoder is None:
            return torch.empty(0), torch.empty(0)
        if self.bank is None:
            return draw_jitter(count, self.generator)
        return torch.randint(len(self.bank[0]), (count,), generator=self.generator), torch.empty(0)

    def _chosen_views(self, rows: Tensor, views: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        """A view of each image and the teacher's answer, as ``_drawn_views`` drew them."""
        if self.networks.autoencoder is None:
            return self.images[:0], self.features[:0]
        if self.bank is None:
            return self._answered(rows, views, factors)
        return self.bank[0][views], self.bank[1][views]

    def _views(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Random views of images, standardised, and the teacher's answers, made in groups of ``batch``."""
        groups = rows.split(self.settings.batch)
        parts = [self._answered(group, *draw_jitter(len(group), self.generator)) for group in groups]
        return torch.cat([views for views, _ in parts]), torch.cat([answers for _, answers in parts])

    def _answered(self, rows: Tensor, kinds: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        views = standardised(jitter(_channels_last(self.images[rows]), kinds, factors))
        with self.autocast():
            return views, self.answers.of_images(views)


class Drawn(NamedTuple):
    """What is drawn for one step: rows of the images, views as ``_drawn_views`` has them, penalty images."""

    rows: Tensor
    views: Tensor
    factors: Tensor
    penalty: list[PenaltyImage]


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
