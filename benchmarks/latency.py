"""Milliseconds from an image in memory to its score and full-size map, one image at a time, by detector.

The floor is the forward pass of the detector's own frozen network; what a detector adds stands beside it. Weights are
packaged or random, and training is short: neither changes the time. PatchCore's search depends on how many directions
the features vary in; so its memory bank is filled with tiles of a photograph.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

COLUMNS = (
    "detector", "backbone", "layers", "resolution", "training_images", "bank", "threads", "precision",
    "floor_ms", "score_ms", "total_ms", "total_by_floor", "machine", "torch",
)  # fmt: skip
LINE = "{detector}, {backbone}: floor {floor_ms} ms, total {total_ms} ms, {total_by_floor} x"
PATCHCORE = {"coreset_fraction": 0.1, "neighbours": 9}
QUICK = {"cflow": {"epochs": 1}, "reverse_distillation": {"max_steps": 1}, "efficientad": {"steps": 1}}


def main() -> None:
    """Measure every detector, and write one row each."""
    from timing import write_rows

    arguments = _parsed()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, backbone, layers, images, settings in _cases(arguments):
            rows.append(_measured(arguments, Path(folder), name, backbone, layers, images, settings))
            print(LINE.format(**rows[-1]))
    write_rows(arguments.output, COLUMNS, rows)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--detectors", nargs="+", default=["patchcore", *QUICK])
    parser.add_argument("--images", type=int, default=200, help="whose patches fill PatchCore's memory bank")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1, help="as many as a job of the workflow has")
    parser.add_argument("--output", type=Path, default=HERE / "latency.csv")
    return parser.parse_args()


def _cases(arguments: argparse.Namespace) -> list[tuple[str, str, tuple[str, ...], int, dict[str, Any]]]:
    from detector_cases import CASES

    cases = [
        ("patchcore", backbone, layers, arguments.images, PATCHCORE)
        for backbone, layers in (("resnet18", ("layer2", "layer3")), ("efficientnet_lite0", ("stage3", "stage5")))
    ]
    for name, budget in QUICK.items():
        case = CASES[name]
        cases.append((name, case.backbone, case.layers, 8, {**case.ours, **budget}))
    return [case for case in cases if case[0] in arguments.detectors]


def _measured(
    arguments: argparse.Namespace, folder: Path, name: str, backbone_name: str, layers: tuple[str, ...], images: int,
    settings: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    import torch
    from detector_cases import BACKBONES, CASES
    from detector_networks import write_weights
    from timing import computed_in, machine
    from variad_detector import as_input

    from variad.core.job import keep_freed_memory
    from variad.core.seeding import numpy_generator
    from variad.detectors.anomaly_map import MapSize, full_size_map
    from variad.detectors.interface import Extractor, create_detector
    from variad.networks.backbones import load_backbone

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    side, weights = CASES[name].resolution, folder / f"{backbone_name}.safetensors"
    write_weights(weights, backbone_name, BACKBONES[backbone_name]["timm"])
    given = None if backbone_name == "efficientnet_lite0" else str(weights)
    backbone = load_backbone(backbone_name, layers, given)
    detector = create_detector(name, settings, Extractor(backbone_name, layers, given, side, None))
    pictures = _tiles(images, side)
    detector.fit(as_input(detector, backbone, pictures[:-1], "cpu"), numpy_generator(0, "latency"))
    tensor = torch.from_numpy(pictures[-1:]).permute(0, 3, 1, 2).float().div(255)
    size = MapSize(side, side, side, None, detector.map_sigma)

    def forward() -> None:
        with torch.inference_mode():
            backbone(tensor)

    def whole() -> None:
        scored = detector.score(as_input(detector, backbone, pictures[-1:], "cpu"))
        full_size_map(scored.maps[0], size)

    floor, total = _milliseconds(forward, whole, arguments.repeats)
    return {
        "detector": name, "backbone": backbone_name, "layers": " ".join(layers), "resolution": side,
        "training_images": images, "bank": len(getattr(detector, "memory_bank", ())) or "",
        "threads": arguments.threads,
        "precision": computed_in(settings.get("precision", "float32"), "cpu"), "floor_ms": round(floor, 2),
        "score_ms": round(total - floor, 2),
        "total_ms": round(total, 2), "total_by_floor": round(total / floor, 2), "machine": machine("cpu"),
        "torch": torch.__version__,
    }  # fmt: skip


def _tiles(count: int, side: int) -> Any:
    """``count`` tiles to train on and one to score, uint8 ``[count + 1, side, side, 3]``."""
    import numpy as np

    from variad.datasets.textures import Textures

    tiles = Textures(Path(), min(side, 256), train_good=count + 1, test_good=0, defects_per_kind=0).tiles("brick")
    return np.stack([np.repeat(tile.image[..., None], 3, axis=2) for tile in tiles])


def _milliseconds(first: Callable[[], None], second: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Medians of both, taking turns, after a warm-up."""
    found: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 2):
        for work, times in zip((first, second), found, strict=True):
            begin = time.perf_counter()
            work()
            if repeat >= 2:
                times.append(1000 * (time.perf_counter() - begin))
    return median(found[0]), median(found[1])


if __name__ == "__main__":
    main()
