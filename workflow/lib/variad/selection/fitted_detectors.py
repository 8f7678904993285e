"""The workflow's own detectors as candidates: each is trained on the bank of a trial."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from variad.core.images import FeatureMaps, Images
from variad.core.seeding import numpy_generator
from variad.detectors.interface import Detector, DetectorInput, Extractor, create_detector
from variad.detectors.training import as_extractor
from variad.networks.backbones import Backbone, load_backbone
from variad.networks.features import prepare, to_tensor
from variad.selection.trials import Rows, Scores, Trial

Entry = tuple[Mapping[str, Any], Extractor]
BATCH = 8


class FittedDetectors:
    """Candidates named as the config's detectors.

    Args:
        entries: of the config's ``detectors`` by name, each with the extractor whose features it sees.
        seed: root seed of training, below ``key``, the detector's name and the run.
    """

    def __init__(self, entries: Mapping[str, Entry], seed: int, key: tuple[str, ...], device: str) -> None:
        self.entries, self.seed, self.key, self.device = entries, seed, key, device
        self._backbones = {
            seen: load_backbone(seen.backbone, seen.layers, seen.weights, seen.tiles).to(device)
            for _, seen in entries.values()
        }

    def describe(self) -> list[dict[str, str | int]]:
        """As large as the network whose features they see."""
        return [
            {
                "candidate": name,
                "parameters": sum(value.numel() for value in self._backbones[seen].parameters()),
                "depth": len(seen.layers) - 1,
                "resolution": seen.resolution,
            }
            for name, (_, seen) in self.entries.items()
        ]

    def score(self, pool: Images, trials: Sequence[Trial]) -> list[Scores]:
        """See ``Candidates.score``; trains every detector once a trial."""
        return [{name: self._score(name, pool, trial) for name in self.entries} for trial in trials]

    def _score(self, name: str, pool: Images, trial: Trial) -> "np.ndarray[Any, np.dtype[np.float64]]":
        entry, seen = self.entries[name]
        detector = create_detector(entry["method"], dict(entry["settings"]), seen, self.device)
        # not by the bank: a detector draws the same numbers for the original and for the regenerated one
        generator = numpy_generator(self.seed, *self.key, "selection", name, trial.run)
        detector.fit(self._input(seen, detector, pool, trial.bank), generator)
        parts = [
            detector.score(self._input(seen, detector, pool, trial.queries[start : start + BATCH])).scores
            for start in range(0, len(trial.queries), BATCH)
        ]
        return np.concatenate(parts).astype(np.float64)

    def _input(self, seen: Extractor, detector: Detector, pool: Images, rows: Rows) -> DetectorInput:
        batches = (pool[rows[start : start + BATCH]] for start in range(0, len(rows), BATCH))
        parts = [extract(self._backbones[seen], batch, seen, self.device) for batch in batches]
        features = {layer: np.concatenate([part[layer] for part in parts]) for layer in seen.layers}
        return DetectorInput(features, pool[rows] if detector.uses_images else None)


def extract(backbone: Backbone, images: Images, extractor: Extractor, device: str) -> FeatureMaps:
    """Features ``[N, h, w, C]`` of images uint8 ``[N, S, S, 3]`` by layer, as detectors with the extractor see them."""
    with torch.inference_mode():
        maps = backbone(prepare(to_tensor(images).to(device), extractor.resolution, extractor.crop))
    return {layer: maps[layer].permute(0, 2, 3, 1).float().cpu().numpy() for layer in extractor.layers}


def open_candidates(
    entry: Mapping[str, Any],
    *,
    detectors: Mapping[str, Mapping[str, Any]],
    image_size: int,
    seed: int,
    key: tuple[str, ...],
    device: str,
    **_: Any,
) -> FittedDetectors:
    """See ``variad.selection.trials.open_candidates``."""
    entries = {}
    for name in entry["detectors"]:
        chosen, seen = detectors[name], detectors[name]["extractor"]
        entries[name] = chosen, as_extractor({**seen, "layers": chosen["layers"] or seen["layers"]}, image_size)
    return FittedDetectors(entries, seed, key, device)
