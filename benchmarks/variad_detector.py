"""Our side of ``detectors.py``: a server that fits and scores one detector a request.

Times are from PNGs on disk to a fitted detector, and from PNGs to scores and full-size maps; the backbone's forward
pass is in both, though the workflow computes the features of an image once for all detectors and training sets.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

from forked import Measurement, serve  # noqa: E402, scripts of this folder

BATCH = 16  # images


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
    from timing import Stopwatch, computed_in, machine

    from variad.networks.backbones import load_backbone

    folder, device = Path(request["folder"]), request["device"]
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


def as_input(detector: Any, backbone: Any, images: Any, device: str) -> Any:
    """Images as a detector takes them, with their features."""
    import numpy as np
    import torch

    from variad.detectors.interface import DetectorInput
    from variad.networks.features import to_tensor

    parts: dict[str, list[Any]] = {}
    for start in range(0, len(images), BATCH):
        with torch.inference_mode():
            for layer, maps in backbone(to_tensor(images[start : start + BATCH]).to(device)).items():
                parts.setdefault(layer, []).append(maps.permute(0, 2, 3, 1).float().cpu().numpy())
    features = {layer: np.concatenate(values) for layer, values in parts.items()}
    return DetectorInput(features, images if detector.uses_images else None)


def _score(detector: Any, backbone: Any, images: Any, device: str) -> tuple[Any, Any]:
    """Scores and full-size maps; batch by batch, as ``variad.detectors.scoring`` does."""
    import numpy as np

    from variad.detectors.anomaly_map import MapSize, full_size_map

    side = images.shape[1]
    size = MapSize(side, side, side, None, detector.map_sigma)
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    scored = [detector.score(as_input(detector, backbone, batch, device)) for batch in batches]
    maps = [full_size_map(one, size) for part in scored for one in part.maps]
    return np.concatenate([part.scores for part in scored]), np.stack(maps)


if __name__ == "__main__":
    serve(load)
