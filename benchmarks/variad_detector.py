"""Our side of ``detectors.py``: a server that fits and scores one detector a request.

Times are from PNGs on disk to a fitted detector, and from PNGs to scores and full-size maps; the backbone's forward
pass is in both, though the workflow computes the features of an image once for all detectors and training sets.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

from forked import Measurement, serve  # noqa: E402, scripts of this folder

BATCH, BATCH_ON_GPU = 16, 32  # images


def load() -> Measurement:
    importlib.import_module("variad.detectors")
    importlib.import_module("variad.networks.features")
    from variad.core.job import keep_freed_memory

    keep_freed_memory()  # as every job of the workflow does
    return measure


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Fit and score; writes scores and maps of the test images, normal ones first, to ``request["output"]``."""
    import numpy as np
    from detector_data import read_images
    from timing import Stopwatch, computed_in, machine, warm_up

    from variad.core.job import choose_device
    from variad.networks.backbones import load_backbone

    folder, device = Path(request["folder"]), request["device"]
    if device.startswith("cuda"):
        choose_device(1)  # as every job of the workflow does
    warm_up(device)
    backbone = load_backbone(request["backbone"], request["layers"], request["weights"]).to(device)
    detector = _detector(request)
    clock = Stopwatch(device)
    detector.fit(
        as_input(detector, backbone, read_images(folder / "train"), device), np.random.default_rng(request["seed"])
    )
    fitted = clock.lap("fit")
    kinds = [read_images(folder / "test" / kind) for kind in ("good", "defect")]
    scores, maps = _score(detector, backbone, np.concatenate(kinds), device)
    scored = clock.lap("score")
    np.savez(request["output"], scores=scores, maps=maps)
    precision = computed_in(request["ours"].get("precision", "float32"), device)
    return {**fitted, **scored, "precision": precision, "machine": machine(device), "version": _version()}


def _version() -> str:
    import torch

    return f"torch {torch.__version__}"


def _detector(request: dict[str, Any]) -> Any:
    from variad.detectors.interface import Extractor, create_detector

    extractor = Extractor(
        request["backbone"], tuple(request["layers"]), request["weights"], request["resolution"], None
    )
    return create_detector(request["method"], request["ours"], extractor, request["device"])


def as_inputs(detector: Any, backbone: Any, images: Any, device: str) -> Iterator[Any]:
    """Batches of images as a detector takes them, with their features, as the workflow computes those."""
    from variad.detectors.interface import DetectorInput
    from variad.networks.features import batches_of_features

    size = BATCH_ON_GPU if device.startswith("cuda") else BATCH
    batches = [images[start : start + size] for start in range(0, len(images), size)]
    for batch, features in zip(batches, batches_of_features(backbone, batches, device=device), strict=True):
        yield DetectorInput(features, batch if detector.uses_images else None)


def as_input(detector: Any, backbone: Any, images: Any, device: str) -> Any:
    """All images as a detector takes them."""
    from variad.detectors.interface import DetectorInput
    from variad.detectors.training import concatenated

    parts = list(as_inputs(detector, backbone, images, device))
    return DetectorInput(concatenated([part.features for part in parts]), images if detector.uses_images else None)


def _score(detector: Any, backbone: Any, images: Any, device: str) -> tuple[Any, Any]:
    """Scores and full-size maps; batch by batch, as ``variad.detectors.scoring`` does."""
    import numpy as np

    from variad.detectors.anomaly_map import MapSize, full_size_map

    side = images.shape[1]
    size = MapSize(side, side, side, None, detector.map_sigma)
    scored = [detector.score(batch) for batch in as_inputs(detector, backbone, images, device)]
    maps = [full_size_map(one, size, device) for part in scored for one in part.maps]
    return np.concatenate([part.scores for part in scored]), np.stack(maps)


if __name__ == "__main__":
    serve(load)
