"""EfficientAD's teacher: a PDN learns a frozen backbone's features on openly licensed images, and is measured.

Batzner et al. (WACV 2024, section 3.1 and appendix) distil WideResNet-101 on ImageNet; here it is EfficientNet-Lite0
on the images that the shipped VQGAN was trained on, so that everybody may use, and repeat, the result. What it is worth
is how much of its target it explains, and how well its features tell defects."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from variad.core.files import sha256, writing
from variad.core.images import read_image, resize_square, to_rgb8
from variad.core.precision import autocast
from variad.core.seeding import numpy_generator, torch_generator, torch_seed
from variad.datasets import open_images
from variad.datasets.packaged import Elpv
from variad.detectors.anomaly_map import interpolation_matrix
from variad.detectors.interface import DetectorInput
from variad.detectors.patchcore import PatchCore
from variad.evaluation.ranking import auroc
from variad.networks.backbones import LITE0, PDN_LAYER, Backbone, load_backbone
from variad.networks.features import feature_maps, to_tensor
from variad.networks.pdn import PDN, RECEPTIVE_FIELD, STRIDE, config_of, load_pdn, output_side, standardised
from variad.networks.training import Trainer, TrainingCrops, channels_first, random_crop
from variad.networks.weights import config_from

SHOTS, CELL_SIDE, CORESET = (1, 5), 224, 1000  # of the measurement on ELPV
SCORED_AT_ONCE = 8  # images: 100 of a PDN take a third of a gigabyte


@dataclass(frozen=True)
class TeacherSettings:
    """Settings of one distillation; the defaults made the ``pdn_small`` that ships.

    Attributes:
        network: ``pdn_small``, ``pdn_tiny`` or ``pdn_medium``.
        crop: side of a crop in pixels.
        weight_decay: of AdamW.
        stages, enlarge: of the backbone, see ``DistillationTarget``.
        calibration: batches that the target is standardised on.

    The others are those of ``TrainingSettings``; the seed decides the projection too.
    """

    network: str = "pdn_small"
    steps: int = 4000
    batch: int = 4
    crop: int = 128
    learning_rate: float = 1e-3
    warm_up: int = 100
    weight_decay: float = 1e-5
    stages: tuple[str, ...] = ("stage2", "stage3")
    enlarge: int = 2
    calibration: int = 32
    grey: float = 0.5
    drawn: int = 240
    drawn_side: int = 256
    every: int = 100
    seed: int = 0
    weight_average: ClassVar[float] = 0.0  # the weights themselves are kept

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))  # JSON and YAML have lists
        config_of(self.network)


def settings_from(values: Mapping[str, Any], source: str) -> TeacherSettings:
    """Settings from keys of ``TeacherSettings``; others keep their defaults.

    Raises:
        UserError: names ``source`` and an unknown key.
    """
    return config_from(TeacherSettings, values, source, "settings of distil_teacher")


class DistillationTarget:
    """Several stages of EfficientNet-Lite0 at each position of a PDN, standardised and projected.

    Each stage is averaged over 3 x 3 of its positions and interpolated at the centre of each of the PDN's receptive
    fields. Its channels are standardised and scaled so that every stage has the same part of the variance, however many
    channels it has; those of all stages are projected by a fixed orthogonal matrix, and standardised again.

    Args:
        stages: of the backbone, such as ``stage3``.
        channels: of the target.
        enlarge: images are enlarged by this factor for the backbone. With 2 its features come at the PDN's spacing, and
            each sees about the pixels that the PDN sees (Batzner et al. enlarge too: 512 against 256 px).
        seed: decides the projection.
    """

    def __init__(self, stages: Sequence[str], channels: int, enlarge: int, seed: int, device: str = "cpu") -> None:
        self.backbone = load_backbone(LITE0, stages).to(device)
        self.enlarge, self.device = enlarge, device
        widths = torch.tensor(list(self.backbone.channels.values()))
        projection = orthogonal_rows(channels, int(widths.sum()), torch_generator(seed, "teacher", "projection"))
        self.projection = (projection / widths.repeat_interleave(widths).sqrt()).to(device)
        self.offset = torch.zeros(channels, device=device)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Stages at the PDN's positions, ``[B, h, w, sum of C]`` float32, of RGB ``[B, 3, S, S]`` in [0, 1]."""
        side = images.shape[-1]
        larger = functional.interpolate(images.to(self.device), scale_factor=self.enlarge, mode="bilinear")
        with autocast("bfloat16", self.device):
            maps = self.backbone(larger)
        return torch.cat([self._at_centres(maps[name].float(), name, side) for name in maps], dim=-1)

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Fix both standardisations on ``batches`` of images in [0, 1]."""
        rows = torch.cat([self.features(batch).flatten(0, 2) for batch in batches]).double()
        mean, covariance = rows.mean(0), torch.cov(rows.T)
        spread = covariance.diagonal().sqrt()
        matrix = self.projection.double() / spread
        matrix = matrix / ((matrix @ covariance) * matrix).sum(1).sqrt()[:, None]
        self.projection, self.offset = matrix.float(), -(matrix @ mean).float()

    def __call__(self, images: Tensor) -> Tensor:
        """Targets ``[B, channels, h, w]``; over the calibration's images each channel has mean 0 and variance 1."""
        return functional.linear(self.features(images), self.projection, self.offset).permute(0, 3, 1, 2)

    def _at_centres(self, values: Tensor, stage: str, side: int) -> Tensor:
        averaged = functional.avg_pool2d(values, 3, 1, 1, count_include_pad=False)
        matrix = centre_matrix(side, self.backbone.strides[stage], self.enlarge, values.shape[-1])
        sampling = torch.from_numpy(matrix).float().to(values.device)
        return torch.einsum("hi,bcij,wj->bhwc", sampling, averaged, sampling)


def centre_matrix(side: int, stride: int, enlarge: int, positions: int) -> NDArray[np.float64]:
    """Linear interpolation of a stage's positions at the PDN's centres, ``[output_side(side), positions]``.

    The PDN's position m is centred on pixel 16 + 4 m. The backbone pads as TensorFlow does, at the end, so its position
    i is centred on pixel ``stride * (i + 1) - 1`` of the enlarged image.
    """
    pixel = RECEPTIVE_FIELD // 2 + STRIDE * np.arange(output_side(side))
    return interpolation_matrix((enlarge * (pixel + 0.5) - 0.5 + 1) / stride - 1, positions)


def orthogonal_rows(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random matrix ``[rows, columns]`` with orthonormal rows, or columns where these are fewer."""
    gaussian = torch.randn(max(rows, columns), min(rows, columns), generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(gaussian).Q.float()
    return basis if rows >= columns else basis.T.contiguous()


class Distillation(Trainer):
    """The state of a training."""

    def __init__(self, settings: TeacherSettings, target: DistillationTarget) -> None:
        config = config_of(settings.network)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(settings.seed, "teacher", "weights"))
            network = PDN(config)
        network.to(target.device).to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(
            network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        super().__init__(network, config, settings, optimiser)
        self.target = target

    def step(self, images: Tensor) -> dict[str, float]:
        """One optimiser step on images in [-1, 1]; returns the mean squared error (the target's variance is 1)."""
        images = unit_range(images).to(self.target.device, memory_format=torch.channels_last)
        wanted = self.target(images)
        with autocast("bfloat16", self.target.device):
            found = self.model(standardised(images))
        loss = functional.mse_loss(found.float(), wanted)
        self.descend(loss)
        self.finish_step()
        return {"unexplained variance": loss.item()}


def distil_teacher(path: str | Path, settings: TeacherSettings | None = None, device: str = "cpu") -> None:
    """Train a PDN and write its weights to ``path``; see ``Trainer.run``."""
    settings = settings or TeacherSettings()
    crops, target = training_material(settings, device)
    Distillation(settings, target).run(path, crops, "distil_teacher")


def training_material(settings: TeacherSettings, device: str = "cpu") -> tuple[TrainingCrops, DistillationTarget]:
    """The crops that a teacher sees, and what it has to say of them."""
    crops = TrainingCrops(settings, settings.crop)
    channels = config_of(settings.network).channels
    target = DistillationTarget(settings.stages, channels, settings.enlarge, settings.seed, device)
    target.calibrate(unit_range(crops.batch(settings.batch, -1 - place)) for place in range(settings.calibration))
    return crops, target


def unit_range(crops: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]."""
    return (crops + 1) / 2


def write_quality(path: str | Path, weights: str | Path, settings: TeacherSettings, crops: int = 200) -> None:
    """Measure a weight file as ``distil_teacher`` wrote it, and write JSON with its hash.

    Args:
        crops: of each held-out group, and of new training crops; also the most ELPV cells of each sort.
    """
    network = load_pdn(weights, settings.network)
    training, target = training_material(settings)
    batches = {name: list(values.split(8)) for name, values in held_out_crops(settings.crop, crops, 0).items()}
    # counted down from below the calibration's, so that no training step has seen them
    batches["training_crops"] = [unit_range(training.batch(8, -10_000 - place)) for place in range(crops // 8)]
    cells = min(100, crops)
    backbones = {
        settings.network: load_backbone(settings.network, [PDN_LAYER], weights),
        LITE0: load_backbone(LITE0, ["stage3", "stage5"]),
    }
    report = {
        "sha256": sha256(weights),
        "settings": asdict(settings),
        "agreement": {name: agreement(network, target, given) for name, given in batches.items()},
        "elpv_mono_patchcore_auroc": {name: defect_auroc(one, "mono", cells) for name, one in backbones.items()},
    }
    with writing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


@torch.no_grad()
def agreement(network: nn.Module, target: DistillationTarget, batches: Sequence[Tensor]) -> dict[str, float]:
    """Compare a network with its target at all positions of RGB images ``[B, 3, S, S]`` in [0, 1].

    Returns:
        ``crops``, how many; ``explained``, part of the target's variance: 1 - squared error / variance about each
        channel's mean; ``cosine``, mean over positions.
    """
    wanted = torch.cat([target(batch) for batch in batches]).transpose(0, 1).flatten(1)
    found = torch.cat([network(standardised(batch)) for batch in batches]).transpose(0, 1).flatten(1)
    variance = (wanted - wanted.mean(1, keepdim=True)).square().sum()
    explained = 1 - float((found - wanted).square().sum() / variance)
    cosine = float(functional.cosine_similarity(found, wanted, dim=0).mean())
    return {"crops": sum(map(len, batches)), "explained": round(explained, 4), "cosine": round(cosine, 4)}


def held_out_crops(side: int, count: int, seed: int) -> dict[str, Tensor]:
    """Crops ``[count, 3, side, side]`` in [0, 1], as they are, of what no training sees."""
    groups = {"photographs": open_images.photographs(True), "textiles": open_images.textiles(True)}
    found = {}
    for name, pictures in groups.items():
        generator = numpy_generator(seed, "teacher", "held out", name)
        tensors = channels_first(pictures)
        found[name] = torch.stack([random_crop(tensors, side, generator) for _ in range(count)])
    return found


def defect_auroc(backbone: Backbone, category: str, cells: int = 100, seeds: int = 5) -> dict[str, float]:
    """Image AUROC of PatchCore on the backbone's features of ELPV, by number of shots, mean over draws of the shots.

    Another split than the default study's; nothing of it is trained on.
    """
    data = Elpv(train_good=cells, test_good=cells, test_defect=cells, split_seed=11)
    entries = data.entries(category)
    labels = np.array([entry.label for entry in entries[cells:]])
    pictures = [resize_square(to_rgb8(read_image(data.root / entry.image_path)), CELL_SIDE) for entry in entries]
    starts = range(0, len(pictures), SCORED_AT_ONCE)
    parts = [feature_maps(backbone, to_tensor(np.stack(pictures[row : row + SCORED_AT_ONCE]))) for row in starts]
    images = DetectorInput({layer: np.concatenate([part[layer] for part in parts]) for layer in backbone.layers})
    groups = [slice(start, start + SCORED_AT_ONCE) for start in range(cells, len(entries), SCORED_AT_ONCE)]
    found = {}
    for shots in SHOTS:
        values = []
        for seed in range(seeds):
            generator = numpy_generator(seed, "teacher", "shots", category, shots)
            rows = generator.choice(cells, min(shots, cells), replace=False)
            detector = PatchCore(coreset_limit=CORESET)
            detector.fit(images.rows(rows.tolist()), generator)
            scores = np.concatenate([detector.score(images.rows(group)).scores for group in groups])
            values.append(auroc(scores, labels))
        found[f"{shots}_shot"] = round(float(np.mean(values)), 4)
    return found
