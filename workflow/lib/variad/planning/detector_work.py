"""The work of fitting a detector, and of scoring test images with it."""

from collections.abc import Mapping
from typing import Any

from variad.planning.features import layer_shapes
from variad.planning.study import Study
from variad.planning.units import Work

Names = Mapping[str, str]
GIGA = 1e9


def train_work(study: Study, names: Names) -> Work | None:
    """Of ``train_detector``, all runs; None where the number of images is unknown. Early stopping is not foreseen."""
    shots, added = study.shots(names), study.added(names)
    if shots is None or added is None:
        return None
    entry = study.config["detectors"][names["detector"]]
    images, runs, settings = shots + added, study.runs(names), entry["settings"]
    if entry["method"] == "efficientad":
        return Work(variant_of(study, entry), {"steps": runs * settings.get("steps", 70_000)})
    if entry["method"] == "patchcore":
        patches, bank, _ = _memory_bank(study, entry, images)
        distances = patches * bank * settings.get("projection", 128) / GIGA
        return Work(variant_of(study, entry), {"images": runs * images, "coreset_giga": runs * distances})
    return Work(variant_of(study, entry), {"image_epochs": runs * images * settings.get("epochs", 1)})


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
    extractor, settings = study.extractor(entry["extractor"]), entry["settings"]
    layers = "+".join(entry["layers"] or extractor["layers"])
    words = [entry["method"], f"{extractor['backbone']} {layers} at {extractor['side']} px"]
    defaults: dict[str, dict[str, Any]] = {
        "cflow": {"coupling_blocks": 8, "fiber_batch_size": 256, "precision": "float32"},
        "reverse_distillation": {
            "block": "bottleneck",
            "blocks": [3, 4, 6],
            "embedding_blocks": 3,
            "batch_size": 16,
            "precision": "float32",
        },
        "efficientad": {"autoencoder": True, "batch": 1, "precision": "bfloat16"},
    }
    words += [f"{key} {settings.get(key, default)}" for key, default in defaults.get(entry["method"], {}).items()]
    return ", ".join(words)


def _memory_bank(study: Study, entry: Mapping[str, Any], images: int) -> tuple[int, int, int]:
    """Patches of the training images, vectors that the bank keeps of them, and numbers in a vector."""
    shapes = layer_shapes(study.extractor(entry["extractor"]), entry["layers"]) or [(0, 0)]
    patches = images * max(side for _, side in shapes) ** 2
    settings = entry["settings"]
    bank = max(1, int(settings.get("coreset_fraction", 0.1) * patches))
    return patches, min(bank, settings.get("coreset_limit") or bank), sum(channels for channels, _ in shapes)
