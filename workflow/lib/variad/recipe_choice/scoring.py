"""Scoring synthetic tests with fitted detectors; images go through the backbone once, whatever the number of cells."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from variad.backbones import Backbone
from variad.detectors.base import Detector, DetectorInput, Extractor
from variad.features import prepare
from variad.pixels import to_tensor
from variad.recipe_choice.synthetic_tests import SyntheticTest
from variad.records import Images

BATCH = 32
COLUMNS = ["scenario", "training_set", "run", "source", "image_id", "label", "score"]


class CellName(NamedTuple):
    """Which of a detector's cells."""

    scenario: str
    training_set: str


def score_pool(
    detectors: Mapping[CellName, Detector],
    images: Images,
    backbone: Backbone,
    extractor: Extractor,
    device: str = "cpu",
) -> dict[CellName, NDArray[np.float32]]:
    """Scores ``[N]`` of images uint8 ``[N, S, S, 3]`` by the detector of every cell."""
    parts: dict[CellName, list[NDArray[np.float32]]] = {cell: [] for cell in detectors}
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        with torch.inference_mode():
            maps = backbone(prepare(to_tensor(batch).to(device), extractor.resolution, extractor.crop))
        features = {layer: value.permute(0, 2, 3, 1).float().cpu().numpy() for layer, value in maps.items()}
        features = {layer: features[layer] for layer in extractor.layers}
        for cell, detector in detectors.items():
            seen = DetectorInput(features, batch if detector.uses_images else None)
            parts[cell].append(detector.score(seen).scores)
    return {cell: np.concatenate(scores) for cell, scores in parts.items()}


def score_table(
    scores: Mapping[CellName, NDArray[np.float32]], tests: Mapping[str, Sequence[SyntheticTest]], run: int
) -> pd.DataFrame:
    """Rows of schema ``recipe_scores``.

    Args:
        scores: of the pool's images, by cell.
        tests: by scenario, since each has shots of its own.
    """
    parts = [
        pd.DataFrame(
            {
                "scenario": cell.scenario,
                "training_set": cell.training_set,
                "run": run,
                "source": test.source,
                "image_id": test.image_ids,
                "label": test.labels,
                "score": values[test.rows],
            }
        )
        for cell, values in scores.items()
        for test in tests[cell.scenario]
    ]
    return pd.concat(parts, ignore_index=True)[COLUMNS]
