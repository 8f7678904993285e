"""The workflow's own detectors as candidates: each is trained on the bank of a trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from variad.core.images import FeatureMaps, Images
from variad.core.seeding import numpy_generator
from variad.detectors.interface import Detector, DetectorInput, Extractor, create_detector
from variad.networks.backbones import Backbone, load_backbone
from variad.networks.features import prepare, to_tensor
from variad.selection.trials import Rows, Scores, Trial

BATCH = 8


@dataclass(frozen=True)
class DetectorEntry:
    """A detector of the config: its method and settings, and the extractor whose features it sees."""

    method: str
    settings: dict[str, Any]
    extractor: Extractor


class FittedDetectors:
    """Candidates named as the config's detectors.

    Args:
        entries: detectors by name.
        seed: root seed of training, below ``key``, the detector's name and the run.
    """

    def __init__(
        self, entries: Mapping[str, DetectorEntry], seed: int = 0, key: tuple[str, ...] = (), device: str = "cpu"
    ) -> None:
        self.entries, self.seed, self.key, self.device = entries, seed, key, device
        self._backbones = {
            entry.extractor: load_backbone(
                entry.extractor.backbone, entry.extractor.layers, entry.extractor.weights
            ).to(device)
            for entry in entries.values()
        }

    def describe(self) -> list[dict[str, str | int]]:
        """As large as the network whose features they see."""
        return [
            {
                "candidate": name,
                "parameters": sum(value.numel() for value in self._backbones[entry.extractor].parameters()),
                "depth": len(entry.extractor.layers) - 1,
                "resolution": entry.extractor.resolution,
            }
            for name, entry in self.entries.items()
        ]

    def score(self, pool: Images, trials: Sequence[Trial]) -> list[Scores]:
        """See ``Candidates.score``; trains every detector once a trial."""
        return [{name: self._score(name, pool, trial) for name in self.entries} for trial in trials]

    def _score(self, name: str, pool: Images, trial: Trial) -> "np.ndarray[Any, np.dtype[np.float64]]":
        entry = self.entries[name]
        detector = create_detector(entry.method, entry.settings, entry.extractor, self.device)
        # not by the bank: a detector draws the same numbers for the original and for the regenerated one
        generator = numpy_generator(self.seed, *self.key, "selection", name, trial.run)
        detector.fit(self._input(entry, detector, pool, trial.bank), generator)
        parts = [
            detector.score(self._input(entry, detector, pool, trial.queries[start : start + BATCH])).scores
            for start in range(0, len(trial.queries), BATCH)
        ]
        return np.concatenate(parts).astype(np.float64)

    def _input(self, entry: DetectorEntry, detector: Detector, pool: Images, rows: Rows) -> DetectorInput:
        seen, backbone = entry.extractor, self._backbones[entry.extractor]
        batches = (pool[rows[start : start + BATCH]] for start in range(0, len(rows), BATCH))
        parts = [extract(backbone, batch, seen, self.device) for batch in batches]
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
        layers, resolution = tuple(chosen["layers"] or seen["layers"]), seen["resolution"] or image_size
        extractor = Extractor(seen["backbone"], layers, seen["weights"], resolution, seen["crop"])
        entries[name] = DetectorEntry(chosen["method"], dict(chosen["settings"]), extractor)
    return FittedDetectors(entries, seed, key, device)
