"""What our detectors take on a GPU, part by part: steps launched and replayed, the coreset, scoring, features.

    python benchmarks/gpu_steps.py                          # on a GPU, a minute
    python benchmarks/gpu_steps.py --device cpu --small     # whether it runs at all

Sizes are those of a Wide ResNet-50 at 256 px and of the networks of ``detectors.py``, weights and images are random.
Every row is written as soon as it is measured; a part that fails is reported, and the others go on.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

from timing import machine, warm_up, write_rows  # noqa: E402, scripts of this folder

from variad.core.job import choose_device  # noqa: E402
from variad.detectors import patchcore_gpu  # noqa: E402
from variad.detectors.anomaly_map import MapSize, full_size_map  # noqa: E402
from variad.detectors.cflow import CFlow  # noqa: E402
from variad.detectors.efficientad import EfficientAD  # noqa: E402
from variad.detectors.interface import DetectorInput, Extractor  # noqa: E402
from variad.detectors.reverse_distillation import ReverseDistillation  # noqa: E402
from variad.networks import gpu_steps  # noqa: E402
from variad.networks.feature_file import write_features  # noqa: E402
from variad.networks.pdn import NETWORKS, PDN, output_side  # noqa: E402

COLUMNS = ("part", "variant", "unit", "value", "machine", "version")
LITE0 = ((28, 40), (14, 112), (7, 320))  # side and channels of its stages at 224 px
RESNET18 = ((56, 64), (28, 128), (14, 256))
WIDE = ((64, 256), (32, 512), (16, 1024))  # of a Wide ResNet-50 at 256 px
Part = Callable[["Sizes"], Iterator[tuple[str, str, float]]]


class Sizes:
    """How much is measured, and where."""

    def __init__(self, device: str, small: bool) -> None:
        self.device, self.small = device, small

    def of(self, whole: int, small: int) -> int:
        """As much as there is time for."""
        return small if self.small else whole

    def seconds(self, work: Callable[[], object]) -> float:
        """Of one call; a GPU has finished when it ends."""
        self._wait()
        begin = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - begin

    def _wait(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()


def features(images: int, sizes: Any) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        f"layer{number}": draw.random((images, side, side, channels), np.float32)
        for number, (side, channels) in enumerate(sizes, start=1)
    }


def each_step(at: Sizes, fit: Callable[[int], object], few: int, many: int) -> Iterator[tuple[str, str, float]]:
    """ms a step, launched and replayed: of a training of ``many`` steps less one of ``few``, which starts alike."""
    usual = gpu_steps.WARM_UP
    for variant, warm_up_steps in (("launched", 10**9), ("replayed", usual)):
        gpu_steps.WARM_UP = warm_up_steps
        try:
            fit(few)  # kernels are loaded
            # the shorter of two each: what else a machine does would be told by the difference
            short, long = (
                min(at.seconds(lambda steps=steps: fit(steps)) for _ in range(2))  # type: ignore[misc]
                for steps in (few, many)
            )
        finally:
            gpu_steps.WARM_UP = usual
        yield variant, "ms a step", 1000 * (long - short) / (many - few)


def cflow(at: Sizes) -> Iterator[tuple[str, str, float]]:
    """One layer of EfficientNet-Lite0, fibres of 256."""
    images = DetectorInput(features(at.of(16, 1), LITE0[:1]))
    steps = len(images.features["layer1"]) * 784 // 256
    for precision in ("float32", "bfloat16"):

        def fit(epochs: int, precision: str = precision) -> object:
            detector = CFlow(epochs=epochs, precision=precision, device=at.device)
            return detector.fit(images, np.random.default_rng(0))

        for variant, unit, value in each_step(at, fit, 1, at.of(9, 2)):
            yield f"{precision}, {variant}", unit, value / steps
    detector = CFlow(epochs=1, device=at.device)
    detector.fit(DetectorInput(features(2, LITE0)), np.random.default_rng(0))
    test = DetectorInput(features(at.of(32, 2), LITE0))
    detector.score(test)
    yield "32 images", "ms", 1000 * at.seconds(lambda: detector.score(test))


def reverse_distillation(at: Sizes) -> Iterator[tuple[str, str, float]]:
    """Batches of 8 of a ResNet-18, and of 16 of a Wide ResNet-50."""
    basic = {"block": "basic", "blocks": [2, 2, 2], "embedding_blocks": 2, "batch_size": 8}
    cases = [("ResNet-18", RESNET18, basic, 8)]
    if not at.small:
        cases.append(("Wide ResNet-50", WIDE, {"batch_size": 16}, 16))
    for name, sizes, settings, images in cases:
        given = DetectorInput(features(images, sizes))
        for precision in ("float32", "bfloat16")[at.small :]:

            def fit(steps: int, settings: Any = settings, precision: str = precision, given: Any = given) -> object:
                detector = ReverseDistillation(**settings, epochs=steps, precision=precision, device=at.device)
                return detector.fit(given, np.random.default_rng(0))

            for variant, unit, value in each_step(at, fit, at.of(5, 1), at.of(35, 6)):
                yield f"{name}, {precision}, {variant}", unit, value


def efficientad(at: Sizes) -> Iterator[tuple[str, str, float]]:
    """PDN-S at 256 px, a batch of 1, with penalty images of each source."""
    side, name = at.of(256, 64), "pdn_tiny" if at.small else "pdn_small"
    with tempfile.TemporaryDirectory() as folder:
        from safetensors.torch import save_file

        weights, pictures = Path(folder) / "teacher.safetensors", Path(folder) / "pictures"
        save_file(PDN(NETWORKS[name]).state_dict(), weights)
        _photographs(pictures, at.of(64, 2))
        extractor, draw = Extractor(name, ("features",), str(weights), side, None), np.random.default_rng(0)
        maps = draw.random((8, output_side(side), output_side(side), NETWORKS[name].channels), np.float32)
        given = DetectorInput({"features": maps}, draw.integers(0, 256, (8, side, side, 3), np.uint8))
        for penalty in ("none", "photographs", str(pictures)):

            def fit(steps: int, penalty: str = penalty) -> object:
                detector = EfficientAD(extractor, at.device, steps=steps, penalty=penalty)
                return detector.fit(given, np.random.default_rng(0))

            for variant, unit, value in each_step(at, fit, at.of(20, 1), at.of(220, 6)):
                yield f"penalty of {'JPEGs' if penalty == str(pictures) else penalty}, {variant}", unit, value
        detector = EfficientAD(extractor, at.device, steps=1, penalty="none")
        detector.fit(given, np.random.default_rng(0))
        test = given.rows([row % 8 for row in range(at.of(32, 2))])
        detector.score(test)
        yield "32 images", "ms", 1000 * at.seconds(lambda: detector.score(test))


def _photographs(folder: Path, count: int) -> None:
    from PIL import Image

    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (47, 63, 3), np.uint8)
        Image.fromarray(noise).resize((500, 375)).save(folder / f"{number}.jpg", quality=90)


def patchcore(at: Sizes) -> Iterator[tuple[str, str, float]]:
    """A coreset among 80,000 patches; 32 images against a bank of 20,000 patches of a Wide ResNet-50."""
    cloud = torch.rand(at.of(80_000, 500), 128, device=at.device)
    picks = at.of(4000, 100)
    usual = gpu_steps.WARM_UP
    for variant, warm_up_steps in (("launched", 10**9), ("replayed", usual)):
        gpu_steps.WARM_UP = warm_up_steps
        patchcore_gpu.greedy_coreset(cloud, 100, np.random.default_rng(0))
        took = at.seconds(lambda: patchcore_gpu.greedy_coreset(cloud, picks, np.random.default_rng(0)))
        yield f"coreset, {variant}", "us a pick", 1e6 * took / picks
    gpu_steps.WARM_UP = usual
    maps = features(at.of(32, 2), WIDE[1:])
    bank = np.random.default_rng(1).random((at.of(20_000, 300), 1536), np.float32)
    search = patchcore_gpu.GpuBank(bank, at.device)
    search.score(maps, 9)
    yield "32 images", "ms", 1000 * at.seconds(lambda: search.score(maps, 9))


class Backbone(torch.nn.Module):
    """Maps of a Wide ResNet-50's sizes out of almost nothing, so that what is measured is what comes after it."""

    layers, strides, weights_sha256 = ("layer1", "layer2", "layer3"), {"layer1": 4, "layer2": 8, "layer3": 16}, "0" * 64

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {}
        for layer, (_, channels) in zip(self.layers, WIDE, strict=True):
            maps = torch.nn.functional.avg_pool2d(images, self.strides[layer])
            found[layer] = maps.repeat(1, channels // 3 + 1, 1, 1)[:, :channels]
        return found


def features_on_disk(at: Sizes) -> Iterator[tuple[str, str, float]]:
    """Images of 1024 px, as MVTec AD has, to three layers of a Wide ResNet-50 at 256 px."""
    count = at.of(128, 4)
    images = np.random.default_rng(0).integers(0, 256, (32, at.of(1024, 300), at.of(1024, 300), 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:

        def write(stored_as: str) -> None:
            batches = (images[: min(32, count)] for _ in range(-(-count // 32)))
            options: dict[str, Any] = {"resolution": 256, "stored_as": stored_as, "device": at.device}
            write_features(Path(folder) / "features.h5", batches, count, Backbone(), {}, **options)

        for stored_as in ("float32", "float16"):
            write(stored_as)
            yield stored_as, "ms an image", 1000 * at.seconds(lambda stored=stored_as: write(stored)) / count  # type: ignore[misc]


def maps_of_full_size(at: Sizes) -> Iterator[tuple[str, str, float]]:
    """A map of 256 positions a side to 1024 px, smoothed."""
    patches, size = np.random.default_rng(0).random((256, 256), np.float32), MapSize(1024, 1024, 256, None, 4.0)
    for device in dict.fromkeys(("cpu", at.device)):
        full_size_map(patches, size, device)
        took = at.seconds(lambda device=device: [full_size_map(patches, size, device) for _ in range(8)])  # type: ignore[misc]
        yield f"on {device}", "ms a map", 1000 * took / 8


PARTS: dict[str, Part] = {
    "cflow": cflow,
    "reverse_distillation": reverse_distillation,
    "efficientad": efficientad,
    "patchcore": patchcore,
    "features": features_on_disk,
    "full_size_maps": maps_of_full_size,
}


def main() -> int:
    """Measure every part; the number of those that failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--output", type=Path, default=HERE / "gpu_steps.csv")
    arguments = parser.parse_args()
    if arguments.device != "cpu":
        choose_device(1)  # as every job of the workflow does
    warm_up(arguments.device)
    rows: list[dict[str, Any]] = []
    failed, common = 0, {"machine": machine(arguments.device), "version": f"torch {torch.__version__}"}
    for part in arguments.parts:
        try:
            for variant, unit, value in PARTS[part](Sizes(arguments.device, arguments.small)):
                rows.append({"part": part, "variant": variant, "unit": unit, "value": f"{value:.4g}", **common})
                write_rows(arguments.output, COLUMNS, rows)
                print(f"{part}: {variant}: {value:.4g} {unit}", flush=True)
        except Exception:  # time on a GPU is dear: what else there is to measure is measured
            failed += 1
            traceback.print_exc()
    return failed


if __name__ == "__main__":
    sys.exit(main())
