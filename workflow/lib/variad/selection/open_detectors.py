"""Candidates of method ``detectors`` from their config entry."""

from collections.abc import Mapping
from typing import Any

from variad.detectors.base import Extractor
from variad.selection.fitted_detectors import DetectorEntry, FittedDetectors


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
    """See ``variad.selection.candidate_sets.open_candidates``."""
    entries = {name: _entry(detectors[name], image_size) for name in entry["detectors"]}
    return FittedDetectors(entries, seed, key, device)


def _entry(detector: Mapping[str, Any], image_size: int) -> DetectorEntry:
    seen = detector["extractor"]
    extractor = Extractor(
        seen["backbone"],
        tuple(detector["layers"] or seen["layers"]),
        seen["weights"],
        seen["resolution"] or image_size,
        seen["crop"],
    )
    return DetectorEntry(detector["method"], dict(detector["settings"]), extractor)
