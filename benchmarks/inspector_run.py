"""One way of inspecting, in a process of its own: ``inspector_run.py ENGINE MODEL PHOTO IMAGES THREADS BATCH...``.

It prints a line of JSON as soon as it has the first photograph's score, and then one a batch size: the seconds of each
call, from uint8 images in memory to scores and maps. Each engine imports what somebody would who uses it alone.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = {1: 40, 16: 6}  # by batch, after two that warm up
Score = Callable[[Any], Any]  # from images, uint8 [B, S, S, 3]


def inspector(model: str, threads: int) -> tuple[Score, Callable[[str], Any]]:
    """The bundle."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "lib"))
    from variad.core.job import limit_threads

    limit_threads(1)  # as the command does
    from variad.inspect.inspector import Inspector

    opened = Inspector.open(model, threads=threads)

    def score(images: Any) -> Any:
        from variad.detectors.anomaly_map import MapSize, full_size_map

        scored = opened.score(images)
        side, extractor = images.shape[1], opened.bundle.extractor
        size = MapSize(side, side, extractor.resolution, extractor.crop, opened.detector.map_sigma)
        for patch_map in scored.maps:
            full_size_map(patch_map, size)
        return scored.scores

    def first(photo: str) -> Any:
        inspection = opened.inspect(photo)
        opened.anomaly_map(inspection)
        return inspection.score

    return score, first


def onnx_runtime(model: str, threads: int) -> tuple[Score, Callable[[str], Any]]:
    """An ONNX file of either side in ONNX Runtime."""
    import numpy as np
    import onnxruntime
    from PIL import Image

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    names = [value.name for value in session.get_outputs()]

    def score(images: Any) -> Any:
        if given.type != "tensor(uint8)":  # the peer's
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / 255
        found = dict(zip(names, session.run(names, {given.name: images}), strict=True))
        return found.get("score", found.get("pred_score"))

    return score, lambda photo: score(np.asarray(Image.open(photo).convert("RGB"))[None])[0]


def openvino(model: str, threads: int) -> tuple[Score, Callable[[str], Any]]:
    """Our ONNX file in OpenVINO."""
    import numpy as np
    from openvino import Core
    from PIL import Image

    config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = Core().compile_model(model, "CPU", config)
    return (
        lambda images: compiled(images)["score"],
        lambda photo: compiled(np.asarray(Image.open(photo).convert("RGB"))[None])["score"][0],
    )


def anomalib_torch(model: str, threads: int) -> tuple[Score, Callable[[str], Any]]:
    """anomalib's ``TorchInferencer``."""
    import torch
    from anomalib.deploy import TorchInferencer

    torch.set_num_threads(threads)
    opened = TorchInferencer(model, device="cpu")

    def score(images: Any) -> Any:
        return opened.predict(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).pred_score.detach()

    return score, lambda photo: opened.predict(photo).pred_score.detach()


def anomalib_openvino(model: str, threads: int) -> tuple[Score, Callable[[str], Any]]:
    """anomalib's ``OpenVINOInferencer``; in float32, as all others, where its own choice may be bfloat16."""
    from anomalib.deploy import OpenVINOInferencer

    config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    opened = OpenVINOInferencer(model, "CPU", config)
    return lambda images: opened.predict(images).pred_score, lambda photo: opened.predict(photo).pred_score


ENGINES = {
    "inspect": inspector,
    "inspect_onnx": onnx_runtime,
    "inspect_openvino": openvino,
    "anomalib_torch": anomalib_torch,
    "anomalib_openvino": anomalib_openvino,
    "anomalib_onnx": onnx_runtime,
}


def main() -> None:
    """Start, score, and time."""
    engine, model, photo, images_file, threads, *batches = sys.argv[1:]
    score, first = ENGINES[engine](model.format(batch=1), int(threads))
    first_score = first(photo)
    import numpy as np

    say({"score": np.asarray(first_score).item(), "versions": versions()})
    images = np.load(images_file)
    for batch in map(int, batches):
        if "{batch}" in model:  # a file for each
            score = ENGINES[engine](model.format(batch=batch), int(threads))[0]
        seconds = []
        for call in range(CALLS[batch] + 2):
            given = images[(np.arange(batch) + call) % len(images)]
            begin = time.perf_counter()
            score(given)
            seconds.append(time.perf_counter() - begin)
        say({"batch": batch, "seconds": seconds[2:]})
    score = ENGINES[engine](model.format(batch=1), int(threads))[0]
    say({"scores": [np.asarray(score(images[row : row + 1])).item() for row in range(4)]})


def versions() -> str:
    """Of what this engine has imported."""
    names = ("anomalib", "torch", "onnxruntime", "openvino")
    return ", ".join(f"{name} {sys.modules[name].__version__}" for name in names if name in sys.modules)


def say(found: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
