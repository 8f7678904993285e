"""What a distilled teacher is worth: how much of its target it explains, and how well its features tell defects."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from variad.backbones import LITE0, PDN_LAYER, Backbone, load_backbone
from variad.datasets.elpv import Elpv
from variad.detectors.base import DetectorInput
from variad.detectors.patchcore.detector import PatchCore
from variad.feature_files import FeatureMaps
from variad.files import sha256, writing
from variad.images import read_image, resize_square, to_rgb8
from variad.metrics.image import auroc
from variad.models import open_images
from variad.models.distillation_target import DistillationTarget
from variad.models.pdn import load_pdn, standardised
from variad.models.teacher_distillation import TeacherSettings, training_material, unit_range
from variad.models.training_crops import random_crop
from variad.pixels import to_tensor
from variad.records import Images
from variad.seeding import numpy_generator

SHOTS, CELL_SIDE, CORESET = (1, 5), 224, 1000


@dataclass(frozen=True)
class Agreement:
    """Of a network with its target, over all positions of ``crops`` crops.

    Attributes:
        explained: part of the target's variance, 1 - squared error / variance about each channel's mean.
        cosine: mean over positions.
    """

    crops: int
    explained: float
    cosine: float


@torch.no_grad()
def agreement(network: nn.Module, target: DistillationTarget, batches: Sequence[Tensor]) -> Agreement:
    """Compare on batches of RGB images ``[B, 3, S, S]`` in [0, 1]."""
    wanted = torch.cat([target(batch) for batch in batches]).transpose(0, 1).flatten(1)
    found = torch.cat([network(standardised(batch)) for batch in batches]).transpose(0, 1).flatten(1)
    variance = (wanted - wanted.mean(1, keepdim=True)).square().sum()
    explained = 1 - float((found - wanted).square().sum() / variance)
    cosine = functional.cosine_similarity(found, wanted, dim=0).mean()
    return Agreement(sum(map(len, batches)), explained, float(cosine))


def held_out_crops(side: int, count: int, seed: int) -> dict[str, Tensor]:
    """Crops ``[count, 3, side, side]`` in [0, 1], as they are, of what no training sees."""
    groups = {"photographs": open_images.photographs(True), "textiles": open_images.textiles(True)}
    found = {}
    for name, pictures in groups.items():
        generator = numpy_generator(seed, "teacher", "held out", name)
        tensors = [torch.from_numpy(picture.copy()).permute(2, 0, 1) for picture in pictures]
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
    features = _features(backbone, np.stack(pictures))
    found = {}
    for shots in SHOTS:
        values = []
        for seed in range(seeds):
            generator = numpy_generator(seed, "teacher", "shots", category, shots)
            rows = generator.choice(cells, min(shots, cells), replace=False)
            detector = PatchCore(coreset_limit=CORESET)
            detector.fit(DetectorInput({layer: maps[rows] for layer, maps in features.items()}), generator)
            values.append(auroc(_scores(detector, features, cells), labels))
        found[f"{shots}_shot"] = float(np.mean(values))
    return found


def _scores(detector: PatchCore, features: FeatureMaps, first: int) -> NDArray[np.float32]:
    """Scores of the images from ``first`` on, a few at a time: 100 images of a PDN take a third of a gigabyte."""
    count = len(next(iter(features.values())))
    parts = [
        detector.score(DetectorInput({layer: maps[start : start + 8] for layer, maps in features.items()}))
        for start in range(first, count, 8)
    ]
    return np.concatenate([part.scores for part in parts])


@torch.inference_mode()
def _features(backbone: Backbone, images: Images) -> FeatureMaps:
    parts = [backbone(to_tensor(images[start : start + 8])) for start in range(0, len(images), 8)]
    return {
        layer: torch.cat([part[layer] for part in parts]).permute(0, 2, 3, 1).float().numpy()
        for layer in backbone.layers
    }


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
    report = {
        "sha256": sha256(weights),
        "settings": asdict(settings),
        "agreement": {name: _rounded(asdict(agreement(network, target, given))) for name, given in batches.items()},
        "elpv_mono_patchcore_auroc": {
            settings.network: _rounded(
                defect_auroc(load_backbone(settings.network, [PDN_LAYER], weights), "mono", cells)
            ),
            LITE0: _rounded(defect_auroc(load_backbone(LITE0, ["stage3", "stage5"]), "mono", cells)),
        },
    }
    with writing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
