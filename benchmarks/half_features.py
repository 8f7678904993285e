"""What features stored as float16 cost: AUROC of the detectors that see features alone, beside float32.

    python benchmarks/half_features.py --seeds 3

Both fit and score the same images from the same seed; only the features are rounded, as ``stored_as: float16`` has them
on disk. A control changes them by a millionth instead: what it costs is chance, the training's own. Cases, images and
weights are those of ``detectors.py``.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

from detector_cases import BACKBONES, CASES  # noqa: E402, scripts of this folder
from detector_data import CATEGORIES, image_names, read_images, read_masks, write_images  # noqa: E402
from detector_networks import write_weights  # noqa: E402
from timing import machine, write_rows  # noqa: E402
from variad_detector import as_input  # noqa: E402

from variad.detectors.anomaly_map import MapSize, full_size_map  # noqa: E402
from variad.detectors.interface import DetectorInput, Extractor, create_detector  # noqa: E402
from variad.evaluation.pixel import pixel_auroc  # noqa: E402
from variad.evaluation.ranking import auroc  # noqa: E402
from variad.networks.backbones import load_backbone  # noqa: E402

DETECTORS = ("patchcore", "cflow", "reverse_distillation")  # EfficientAD's teacher answers views of images too
COLUMNS = ("detector", "category", "seed", "stored_as", "image_auroc", "pixel_auroc", "test_images", "machine")
CONTROL = "float32, a millionth apart"
Row = dict[str, Any]


def main() -> None:
    """Measure, write every row at once, and print mean differences."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--categories", nargs="+", choices=CATEGORIES, default=["mono", "brick"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, help="training images, in place of each case's number")
    parser.add_argument("--test", type=int, default=80, help="normal, and anomalous, test images")
    parser.add_argument("--output", type=Path, default=HERE / "half_features.csv")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            for category in arguments.categories:
                for name in arguments.detectors:
                    rows += compared(name, category, seed, arguments, Path(folder))
                    write_rows(arguments.output, COLUMNS, rows)
    print_differences(rows)


def compared(name: str, category: str, seed: int, arguments: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """A row for each way to store features."""
    case = CASES[name]
    train = arguments.train or case.train
    images = folder / f"{category}_{seed}_{train}"
    if not images.exists():
        write_images(images, category, seed, case.resolution, train, arguments.test)
    weights = folder / f"{case.backbone}.safetensors"
    if case.backbone != "efficientnet_lite0" and not weights.exists():
        write_weights(weights, case.backbone, BACKBONES[case.backbone]["timm"])
    path = str(weights) if weights.exists() else None
    backbone = load_backbone(case.backbone, case.layers, path)
    extractor = Extractor(case.backbone, case.layers, path, case.resolution, None)
    settings = {**case.ours, **case.budget(case.epochs, train)}
    pictures = [read_images(images / kind) for kind in ("train", "test/good", "test/defect")]
    detector = create_detector(name, settings, extractor)
    given = as_input(detector, backbone, pictures[0], "cpu")
    test = as_input(detector, backbone, np.concatenate(pictures[1:]), "cpu")
    labels = [int(file.startswith("defect")) for file in image_names(images)]
    masks, side = read_masks(images), case.resolution
    for stored_as in ("float32", "float16", CONTROL):
        detector = create_detector(name, settings, extractor)
        detector.fit(rounded(given, stored_as), np.random.default_rng(seed))
        scored = detector.score(rounded(test, stored_as))
        size = MapSize(side, side, side, None, detector.map_sigma)
        pixel = pixel_auroc([full_size_map(one, size) for one in scored.maps], masks) if masks else None
        yield {
            "detector": name, "category": category, "seed": seed, "stored_as": stored_as, "test_images": len(labels),
            "image_auroc": round(100 * auroc(scored.scores, labels), 3), "machine": machine("cpu"),
            "pixel_auroc": "" if pixel is None else round(100 * pixel, 3),
        }  # fmt: skip


def rounded(given: DetectorInput, stored_as: str) -> DetectorInput:
    """Features as they come back from the disk, or the control's."""
    if stored_as == CONTROL:
        draw = np.random.default_rng(0)
        changed = {
            layer: maps * (1 + 1e-6 * draw.standard_normal(maps.shape)) for layer, maps in given.features.items()
        }
        return DetectorInput({layer: maps.astype(np.float32) for layer, maps in changed.items()})
    return DetectorInput({layer: maps.astype(stored_as).astype(np.float32) for layer, maps in given.features.items()})


def print_differences(rows: list[Row]) -> None:
    """Mean and largest change of each detector's AUROC from float32, points."""
    for name in dict.fromkeys(row["detector"] for row in rows):
        for metric in ("image_auroc", "pixel_auroc"):
            found: dict[str, list[float]] = {"float32": [], "float16": [], CONTROL: []}
            for row in rows:
                if row["detector"] == name and row[metric] != "":
                    found[row["stored_as"]].append(row[metric])
            for stored_as in ("float16", CONTROL) if found["float32"] else ():
                change = np.subtract(found[stored_as], found["float32"])
                largest = np.abs(change).max()
                print(f"{name}, {metric}, {stored_as}: mean {change.mean():+.3f}, largest {largest:.3f} points")


if __name__ == "__main__":
    main()
