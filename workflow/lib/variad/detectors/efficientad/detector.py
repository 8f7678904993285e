"""EfficientAD: where a student disagrees with its teacher and with an autoencoder (Batzner et al., WACV 2024)."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from variad.backbones import PDN_LAYER
from variad.detectors.base import DetectorInput, Extractor, Scored
from variad.detectors.efficientad.map_normalisation import MapRange
from variad.detectors.efficientad.networks import StudentAndAutoencoder
from variad.detectors.efficientad.settings import EfficientADSettings
from variad.detectors.efficientad.training import EfficientADTraining, StandardisedFeatures, TeacherAnswers
from variad.detectors.randomness import seeded
from variad.errors import UserError
from variad.features import prepare
from variad.models.pdn import BORDER, NETWORKS, config_of, load_pdn, standardised
from variad.models.weights import load_weights, save_weights
from variad.pixels import to_tensor
from variad.precision import autocast
from variad.records import Images

Maps = NDArray[np.float32]
SMALLEST_SIDE = 64
SMALLEST_STD = 1e-6


class EfficientAD:
    """A teacher's cached features, a student and an autoencoder.

    The anomaly map is the mean of the student-teacher and the autoencoder-student map, each on the scale that its
    quantiles on held-out training images give it (section 3.3); the image score is its maximum.

    Args:
        extractor: of the cached features; its backbone is the teacher, a patch description network.
        settings: of ``EfficientADSettings``.

    Raises:
        UserError: a setting is unknown or out of range, or the extractor is no patch description network or too small.
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
        features = training.features[PDN_LAYER]
        learned, held = split_off(len(features), self.settings.held_out, generator)
        self._standardise_on(features[learned])
        with seeded(generator) as own:
            self.networks = self._untrained().to(self.device).to(memory_format=torch.channels_last)
            teacher = load_pdn(str(self.extractor.weights), self.extractor.backbone).to(self.device)
            EfficientADTraining(
                self.networks,
                TeacherAnswers(teacher, self.mean, self.std),
                self._prepared(training, learned),
                torch.from_numpy(features[learned]).to(self.device),
                self.settings,
                own,
                np.random.default_rng(generator.integers(2**63)),
            ).run()
        self.networks.eval()
        maps = self._maps(DetectorInput({PDN_LAYER: features[held]}, _images(training)[held]))
        self.ranges = [MapRange.of(values) for values in maps]

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
        """``StudentAndAutoencoder.maps``, ``[2, N, h, h]``; one image at a time, so that none depends on another."""
        answers = StandardisedFeatures(self.mean, self.std)
        found = []
        with torch.inference_mode(), autocast(self.settings.precision, self.device):
            for row in range(len(_images(images))):
                image = standardised(self._prepared(images, [row]))
                features = torch.from_numpy(images.features[PDN_LAYER][row : row + 1]).to(self.device)
                found.append(self.networks.maps(image, answers.of_features(features)))
        return torch.cat(found, dim=1).cpu().numpy()

    def _prepared(self, images: DetectorInput, rows: list[int]) -> torch.Tensor:
        """``[N, 3, side, side]`` in [0, 1], as the extractor saw them."""
        chosen = to_tensor(_images(images)[rows]).to(self.device)
        prepared = prepare(chosen, self.extractor.resolution, self.extractor.crop)
        return prepared.contiguous(memory_format=torch.channels_last)

    def _standardise_on(self, features: NDArray[np.float32]) -> None:
        mean = features.mean(axis=(0, 1, 2), dtype=np.float64)
        std = features.std(axis=(0, 1, 2), dtype=np.float64)
        std[std < SMALLEST_STD] = 1  # a channel that never varies
        self.mean, self.std = (torch.from_numpy(values).float().to(self.device) for values in (mean, std))

    def save(self, path: Path) -> None:
        """Write networks, the teacher's standardisation, the maps' scale, settings and extractor."""
        tensors = {**self.networks.state_dict(), "mean": self.mean, "std": self.std}
        settings, extractor = asdict(self.settings), asdict(self.extractor)
        save_weights(path, tensors, {"settings": settings, "extractor": extractor, "ranges": self.ranges}, half=False)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read what ``save`` wrote."""
        tensors, stored = load_weights(path)
        extractor = Extractor(**{**stored["extractor"], "layers": tuple(stored["extractor"]["layers"])})
        detector = cls(extractor, device, **stored["settings"])
        detector.mean, detector.std = (tensors.pop(name).to(device) for name in ("mean", "std"))
        detector.networks.load_state_dict(tensors)
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
        names = ", ".join(NETWORKS)
        raise UserError(f"efficientad.extractor: expected a backbone of {names}, found '{extractor.backbone}'.")
    if PDN_LAYER not in extractor.layers or extractor.weights is None:
        found = f"layers {', '.join(extractor.layers)} and weights {extractor.weights}"
        raise UserError(f"efficientad.extractor: expected the layer {PDN_LAYER} and a file of weights, found {found}.")
    if (extractor.crop or extractor.resolution) < SMALLEST_SIDE:
        side = extractor.crop or extractor.resolution
        raise UserError(f"efficientad.extractor: expected images of at least {SMALLEST_SIDE} pixels, found {side}.")
