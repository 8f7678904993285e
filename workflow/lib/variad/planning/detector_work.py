"""The work of fitting a detector, and of scoring test images with it."""

import math
from collections.abc import Mapping
from typing import Any

from variad.detectors import METHODS, default_settings
from variad.planning.features import layer_shapes
from variad.planning.study import Study
from variad.planning.units import Work

Names = Mapping[str, str]
GIGA = 1e9
# settings that change the cost of a step
STEP_SETTINGS = {
    "cflow": ("coupling_blocks", "fiber_batch_size", "precision"),
    "reverse_distillation": ("block", "blocks", "embedding_blocks", "batch_size", "precision"),
    "efficientad": ("autoencoder", "batch", "precision"),
}


def train_work(study: Study, names: Names) -> Work | None:
    """Of ``train_detector``, all runs; None where the number of images is unknown. Early stopping is not foreseen."""
    shots, added = study.shots(names), study.added(names)
    if shots is None or added is None:
        return None
    entry = study.config["detectors"][names["detector"]]
    images, runs, settings = shots + added, study.runs(names), settings_of(entry)
    if entry["method"] == "efficientad":
        return Work(variant_of(study, entry), {"steps": runs * settings["steps"]})
    if entry["method"] == "patchcore":
        patches, bank, _ = _memory_bank(study, entry, images)
        distances = patches * bank * settings["projection"] / GIGA
        return Work(variant_of(study, entry), {"images": runs * images, "coreset_giga": runs * distances})
    return Work(variant_of(study, entry), {"image_epochs": runs * images * _epochs(settings, images)})


def score_work(study: Study, names: Names) -> Work | None:
    """Of ``score_test_set``, all runs; None where the number of images is unknown."""
    size, shots, added = study.size(names), study.shots(names), study.added(names)
    if size is None or shots is None or added is None:
        return None
    entry = study.config["detectors"][names["detector"]]
    runs = study.runs(names)
    units: dict[str, float] = {"images": runs * size.test, "megapixels": runs * size.test * size.megapixels}
    if entry["method"] == "patchcore":
        patches, bank, channels = _memory_bank(study, entry, shots + added)
        a_image = patches / max(1, shots + added)
        units["search_giga"] = runs * size.test * a_image * bank * channels / GIGA
    return Work(variant_of(study, entry), units)


def variant_of(study: Study, entry: Mapping[str, Any]) -> str:
    """A detector's method, network and those settings that change the cost of a step."""
    extractor, settings = study.extractor(entry["extractor"]), settings_of(entry)
    layers = "+".join(entry["layers"] or extractor["layers"])
    words = [entry["method"], f"{extractor['backbone']} {layers} at {extractor['side']} px"]
    words += [f"{key} {settings[key]}" for key in STEP_SETTINGS.get(entry["method"], ())]
    return ", ".join(words)


def settings_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A detector's settings, with the method's own defaults where it is one of Variad's."""
    method = entry["method"]
    return {**(default_settings(method) if method in METHODS else {}), **entry["settings"]}


def _epochs(settings: Mapping[str, Any], images: int) -> float:
    """Passes over the training images; 1 for a user's own method that does not say."""
    epochs: float = settings.get("epochs", 1)
    if settings.get("max_steps") is None:
        return epochs
    return min(epochs, settings["max_steps"] / math.ceil(images / settings["batch_size"]))


def _memory_bank(study: Study, entry: Mapping[str, Any], images: int) -> tuple[int, int, int]:
    """Patches of the training images, vectors that the bank keeps of them, and numbers in a vector."""
    shapes = layer_shapes(study.extractor(entry["extractor"]), entry["layers"]) or [(0, 0)]
    patches = images * max(side for _, side in shapes) ** 2
    settings = settings_of(entry)
    bank = max(1, int(settings["coreset_fraction"] * patches))
    return patches, min(bank, settings["coreset_limit"] or bank), sum(channels for channels, _ in shapes)
