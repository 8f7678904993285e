"""What larger images bring where defects are small, and what tiles save there: PatchCore on EfficientNet-Lite0.

    python benchmarks/tiles.py --photographs data/magnetic_tile/magnetic_tile

Two kinds of images: photographs of a folder in MVTec AD's layout, and simulated ones of 12 megapixels (4000 x 3000 px)
of which half of the test images have one stain of 20 px: scikit-image's photograph of bricks, mirrored at its borders,
rough as it is, or smooth. Each case runs in a process of its own, so that peaks of memory are its own: images are
resized to a square, seen as a whole or in tiles, and scored as the workflow does. The rows are image AUROC, and the
seconds and memory that an image takes.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

from timing import machine, write_rows  # noqa: E402, a script of this folder

Pixels = NDArray[np.uint8]
COLUMNS = (
    "images",
    "seed",
    "side",
    "tile",
    "overlap",
    "image_auroc",
    "s_per_image",
    "peak_gb",
    "shots",
    "test",
    "machine",
)
LAYERS = ("stage3", "stage5")  # as config.yaml's lite0
CORESET = 0.05  # of the patches: a larger image has more of them
PLASTER = 12  # pixels, standard deviation of the blur that leaves shades of the bricks alone
WIDTH, HEIGHT, STAIN, DARKER, NOISE = 4000, 3000, 20, 40, 3.0  # pixels, grey levels


class Case(NamedTuple):
    """Which images, the side that they are resized to, and the tiles that they are seen in (0: as a whole)."""

    images: str
    side: int
    tile: int = 0
    overlap: int = 0


CASES = [
    *(Case("photographs", *seen) for seen in ((224,), (448,), (448, 224, 64))),
    *(Case("12 megapixels, rough", *seen) for seen in ((224,), (1024,), (1024, 512, 64), (2048, 512, 64))),
    *(Case("12 megapixels, smooth", *seen) for seen in ((224,), (1024,), (1024, 512, 64))),
]


def main() -> None:
    """Measure every case, write every row at once, and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photographs", type=Path, help="a category's folder; left out without one")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--test", type=int, default=10, help="good, and as many defective, test images, at most")
    parser.add_argument("--output", type=Path, default=HERE / "tiles.csv")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        case, seed = json.loads(arguments.case)
        print(json.dumps(measured(Case(*case), seed, arguments)))
        return
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        for case in CASES:
            if case.images == "photographs" and arguments.photographs is None:
                continue
            given = [sys.executable, __file__, *sys.argv[1:], "--case", json.dumps([list(case), seed])]
            done = subprocess.run(given, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
            write_rows(arguments.output, COLUMNS, rows)


def measured(case: Case, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """A row."""
    import torch

    from variad.core.images import Tiles
    from variad.detectors.interface import DetectorInput, Extractor, create_detector
    from variad.evaluation.ranking import auroc
    from variad.networks.backbones import load_backbone
    from variad.networks.features import feature_maps, to_tensor

    torch.set_num_threads(1)
    tiles = Tiles(case.tile, case.overlap) if case.tile else None
    backbone = load_backbone("efficientnet_lite0", LAYERS, tiles=tiles)
    extractor = Extractor("efficientnet_lite0", LAYERS, None, case.side, None, tiles)
    detector = create_detector("patchcore", {"coreset_fraction": CORESET}, extractor)
    generator = np.random.default_rng(seed)
    draw = photographs if case.images == "photographs" else simulated
    training, scores, labels, seconds = [], [], [], 0.0
    for label, image in draw(case, arguments, generator):
        begin = time.process_time()
        features = feature_maps(backbone, to_tensor(image[None]))
        if label is None:
            training.append(features)
            continue
        if training:
            together = {layer: np.concatenate([part[layer] for part in training]) for layer in features}
            training.clear()
            detector.fit(DetectorInput(together), generator)
            begin = time.process_time()
            features = feature_maps(backbone, to_tensor(image[None]))
        scores.append(float(detector.score(DetectorInput(features)).scores[0]))
        seconds += time.process_time() - begin
        labels.append(label)
    figures = {
        "image_auroc": round(100 * auroc(np.array(scores), np.array(labels)), 2),
        "s_per_image": round(seconds / len(labels), 4),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    about = {"seed": seed, "shots": arguments.shots, "test": len(labels), "machine": machine("cpu")}
    return {**case._asdict(), **figures, **about}


def photographs(
    case: Case, arguments: argparse.Namespace, generator: np.random.Generator
) -> Iterator[tuple[int | None, Pixels]]:
    """Shots (label None), then test images (0 good, 1 defective), resized to a square."""
    from variad.core.images import read_image, resize_square, to_rgb8

    folder = arguments.photographs
    shots = sorted((folder / "train" / "good").iterdir())
    good = sorted((folder / "test" / "good").iterdir())
    bad = sorted(path for path in (folder / "test").glob("*/*") if path.parent.name != "good")
    for label, paths, count in ((None, shots, arguments.shots), (0, good, arguments.test), (1, bad, arguments.test)):
        for row in generator.choice(len(paths), min(count, len(paths)), replace=False):
            yield label, resize_square(to_rgb8(read_image(paths[row])), case.side)


def simulated(
    case: Case, arguments: argparse.Namespace, generator: np.random.Generator
) -> Iterator[tuple[int | None, Pixels]]:
    """Likewise, of one wall, from other places, in other light, with other noise: bricks, or bricks under plaster."""
    from scipy.ndimage import gaussian_filter
    from skimage import data

    from variad.core.images import resize_square

    wall = data.brick().astype(np.float32)
    if case.images.endswith("smooth"):
        wall = gaussian_filter(wall, PLASTER)
    for label, count in ((None, arguments.shots), (0, arguments.test), (1, arguments.test)):
        for _ in range(count):
            image = photograph(wall, generator)
            if label:
                stain(image, generator)
            rgb = np.repeat(np.clip(np.rint(image), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
            yield label, resize_square(rgb, case.side)


def photograph(surface: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """A wall, ``[3000, 4000]``: mirrored at its borders, shifted, a little brighter or darker, with noise."""
    height, width = surface.shape
    top, left = generator.integers(0, 2 * np.array(surface.shape))
    wall = np.pad(surface, ((0, HEIGHT + 2 * height), (0, WIDTH + 2 * width)), mode="symmetric")
    image = wall[top : top + HEIGHT, left : left + WIDTH] * np.float32(generator.uniform(0.95, 1.05))
    return image + NOISE * generator.standard_normal(image.shape, np.float32)


def stain(image: NDArray[np.float32], generator: np.random.Generator) -> None:
    """Darken a disc of 20 px with soft edges, anywhere."""
    radius = STAIN / 2
    row, column = (int(generator.integers(STAIN, side - STAIN)) for side in image.shape)
    offsets = np.arange(-STAIN, STAIN + 1)
    distance = np.hypot(offsets[:, None], offsets[None])
    weight = np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
    image[row - STAIN : row + STAIN + 1, column - STAIN : column + STAIN + 1] -= DARKER * weight


if __name__ == "__main__":
    main()
