"""The inspector against anomalib's inferencers: images a second, and seconds from a process's start to its first score.

    make bench                                          # makes both environments, then this among others
    python benchmarks/inspector.py --peer PYTHON        # a Python that holds envs/bench.lock
    python benchmarks/inspector.py --peer PYTHON --detectors patchcore --rounds 1 --images 8    # a try
    python benchmarks/inspector.py --photographs 500    # memory instead: so many JPEG files of 12 megapixels

Both sides have the same backbone's weights and detectors of the same architecture, in float32; PatchCore's memory bank
is the same too, and so are its scores. Each measurement is a process of its own, kept to as many cores as it has
threads; the ways of inspecting take turns, so that ratios are of pairs. Photographs are 224 px (EfficientAD's 256,
which anomalib's autoencoder needs). What a process does: ``inspector_run.py``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

from detector_cases import BACKBONES, CASES, Case  # noqa: E402, scripts of this folder
from detector_networks import write_weights  # noqa: E402
from timing import machine, write_rows  # noqa: E402

COLUMNS = (
    "detector", "engine", "backbone", "resolution", "bank", "threads", "batch", "round", "images_per_s", "start_s",
    "model_mb", "score_difference", "machine", "versions",
)  # fmt: skip
SHORT: dict[str, dict[str, Any]] = {  # of a training: its length changes no time
    "patchcore": {},
    "cflow": {"epochs": 1},
    "reverse_distillation": {"max_steps": 1},
    "efficientad": {"steps": 1, "penalty": "none"},
}
LARGE_COLUMNS = (
    "detector", "photographs", "height", "width", "megabytes", "asked", "threads", "images_per_s", "peak_gb",
    "of_which_start_gb", "machine",
)  # fmt: skip
LARGE = 3000, 4000, 20  # pixels, and how many different ones there are
WITH_PICTURES = 5  # every so many of them get heat maps and a place on a page as well
BATCHES = ("1", "16")
KEPT = 16  # photographs to score


def main() -> None:
    """Measure every detector, write a row for each batch of each process, print medians of ratios."""
    arguments = _parsed()
    if arguments.photographs:
        _measure_large(arguments)
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.detectors:
            place = Path(folder) / name
            place.mkdir()
            made = _ours(place, name, arguments.images)
            if arguments.peer is not None:
                made["engines"] |= _peers(place, made["request"], arguments.peer)
            for round_number in range(arguments.rounds):
                for threads in arguments.threads:
                    rows += _round(place, made, round_number, threads, arguments.peer)
                    write_rows(arguments.output, COLUMNS, rows)  # whatever stops it, what was measured is kept
    _print_ratios(rows)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--peer", type=Path, help="a Python that holds anomalib and the runtimes; without one, the bundle alone"
    )
    parser.add_argument("--detectors", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--images", type=int, default=200, help="training images, whose patches fill PatchCore's bank")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--photographs", type=int, default=0, help="inspect so many large ones, and measure memory")
    parser.add_argument("--output", type=Path, default=HERE / "inspector.csv")
    return parser.parse_args()


def _measure_large(arguments: argparse.Namespace) -> None:
    """The command over a folder of photographs of 12 megapixels: its peak of memory, without and with pictures."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        size = _draw_large(photographs, arguments.photographs)
        some = [str(photographs / f"{number}.jpg") for number in range(arguments.photographs // WITH_PICTURES)]
        for name in arguments.detectors:
            place = Path(folder) / name
            place.mkdir()
            _ours(place, name, arguments.images)
            for given, count, asked in (
                ([str(photographs)], arguments.photographs, []),
                (some, len(some), ["--report", "page.html", "--heatmaps", "maps"]),
            ):
                start, _ = _peak_of(place, [str(photographs / "0.jpg")])
                peak, seconds = _peak_of(place, [*given, *asked])
                rows.append({
                    "detector": name, "photographs": count, "height": LARGE[0], "width": LARGE[1],
                    "megabytes": round(size / 1e6, 2), "asked": " ".join(asked[::2]), "threads": arguments.threads[-1],
                    "images_per_s": round(count / seconds, 2), "peak_gb": round(peak, 2),
                    "of_which_start_gb": round(start, 2), "machine": machine("cpu"),
                })  # fmt: skip
                print(json.dumps(rows[-1]), flush=True)
                write_rows(HERE / "inspector_memory.csv", LARGE_COLUMNS, rows)


def _draw_large(folder: Path, count: int) -> float:
    """Write photographs, some of them under several names; the mean size of a file, bytes."""
    import numpy as np
    from PIL import Image
    from skimage import data

    folder.mkdir()
    height, width, different = LARGE
    bricks = np.pad(data.brick(), ((0, height), (0, width)), mode="symmetric")
    for number in range(count):
        path, same = folder / f"{number}.jpg", folder / f"{number % different}.jpg"
        if path != same:
            os.link(same, path)
            continue
        chance = np.random.default_rng(number)
        top, left = chance.integers(0, 512, 2)
        grey = bricks[top : top + height, left : left + width] + chance.normal(0, 4, (height, width))
        pixels = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        Image.fromarray(pixels).save(path, quality=90)
    return sum(path.stat().st_size for path in folder.iterdir()) / count


INSPECT = """
import sys
from variad.inspect.command import main
status = main(sys.argv[1:])
# not getrusage's, which counts what this process's parent held when it started it
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak.split()[1], file=sys.stderr)
sys.exit(status)
"""


def _peak_of(place: Path, given: list[str]) -> tuple[float, float]:
    """Most memory of an inspection, GB, and its seconds."""
    command = [sys.executable, "-c", INSPECT, str(place / "model.variad"), *given, "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "workflow" / "lib")}
    begin = time.perf_counter()
    done = subprocess.run(
        command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    )
    return int(done.stderr.split()[-1]) * 1024 / 1e9, time.perf_counter() - begin


def _ours(folder: Path, name: str, images: int) -> dict[str, Any]:
    """A fitted detector as a bundle and as ONNX, photographs, and what the peer has to know."""
    import numpy as np
    from latency import _tiles as tiles
    from PIL import Image
    from variad_detector import as_input

    from variad.core.seeding import numpy_generator
    from variad.detectors.interface import Extractor, create_detector
    from variad.inspect.answers import HeldOutScores
    from variad.inspect.bundle import Bundle, PixelRule, write_bundle
    from variad.inspect.inspector import Inspector
    from variad.inspect.onnx_model import export_onnx
    from variad.networks.backbones import load_backbone

    case, side = CASES[name], CASES[name].resolution
    weights = _weights(folder, case)
    given = None if case.backbone == "efficientnet_lite0" else str(weights)
    extractor = Extractor(case.backbone, case.layers, given, side, None)
    backbone = load_backbone(case.backbone, case.layers, given)
    settings = {**case.ours, **SHORT[name], "precision": "float32"}
    if name == "patchcore":
        del settings["precision"]
    detector = create_detector(name, settings, extractor)
    pictures = tiles((images if name == "patchcore" else 8) + KEPT - 1, side)
    detector.fit(as_input(detector, backbone, pictures[:-KEPT], "cpu"), numpy_generator(0, "inspector"))
    detector.save(folder / "model.safetensors")
    held_out = HeldOutScores(np.ones(8), np.ones(8), np.ones(8, bool))
    rule, shots, nothing = PixelRule(side), pictures[:1, :64, :64], {"training_images": []}
    bundle = Bundle(
        f"benchmark/{name}", "tile", name, settings, extractor, "float32", rule, held_out, (0.95, 0.99), nothing, []
    )
    write_bundle(folder / "model.variad", bundle, folder / "model.safetensors", backbone, shots)
    export_onnx(Inspector.open(folder / "model.variad"), folder / "model.onnx")
    np.save(folder / "images.npy", pictures[-KEPT:])
    Image.fromarray(pictures[-1]).save(folder / "photo.png")
    request = {
        "method": name, "resolution": side, "peer": case.peer, "timm_layers": case.timm_layers,
        "timm_weights": str(weights), "batches": list(map(int, BATCHES)), "penalty": str(folder),
        "output": str(folder / "anomalib"),
        **BACKBONES[case.backbone],
    }  # fmt: skip
    bank = getattr(detector, "memory_bank", None)
    if bank is not None:
        np.save(folder / "bank.npy", bank)
        request["bank"] = str(folder / "bank.npy")
    facts = {"detector": name, "backbone": case.backbone, "resolution": side, "bank": "" if bank is None else len(bank)}
    graph = folder / "model.onnx"
    files = {"inspect": folder / "model.variad", "inspect_onnx": graph, "inspect_openvino": graph}
    return {"facts": facts, "engines": files, "request": request}


def _weights(folder: Path, case: Case) -> Path:
    if case.backbone == "pdn_small":
        return HERE.parent / "resources/pdn_small/model.safetensors"
    path = folder / f"{case.backbone}.safetensors"
    write_weights(path, case.backbone, BACKBONES[case.backbone]["timm"])
    return path


def _peers(folder: Path, request: dict[str, Any], python: Path) -> dict[str, Path]:
    """The peer's exports."""
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    command = [str(python), str(HERE / "inspector_peer.py"), str(folder / "request.json")]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    weights = folder / "anomalib" / "weights"
    onnx = weights / "onnx" / "model_{batch}.onnx"
    return {"anomalib_torch": weights / "torch" / "model.pt", "anomalib_openvino": onnx, "anomalib_onnx": onnx}


def _round(folder: Path, made: dict[str, Any], number: int, threads: int, peer: Path | None) -> list[dict[str, Any]]:
    """Every way of inspecting once, in an order that turns round by round."""
    engines = [engine for engine in made["engines"] if engine == "inspect" or peer is not None]
    rows, reference = [], None
    for engine in engines if number % 2 == 0 else engines[::-1]:
        model = made["engines"][engine]
        # runtimes are the peer's, so that both sides' graphs run in the same one
        python = sys.executable if engine == "inspect" else str(peer)
        files = [str(folder / "photo.png"), str(folder / "images.npy")]
        command = [python, str(HERE / "inspector_run.py"), engine, str(model), *files, str(threads), *BATCHES]
        start, lines = _run(command, threads, folder)
        scores = lines[-1]["scores"]
        for found in lines[1:-1]:
            rows.append({
                **made["facts"], "engine": engine, "threads": threads, "batch": found["batch"], "round": number,
                "images_per_s": round(found["batch"] / median(found["seconds"]), 2), "start_s": round(start, 2),
                "model_mb": round(_size(model) / 1e6, 1), "machine": machine("cpu"), "scores": scores,
                "versions": lines[0]["versions"],
            })  # fmt: skip
            shown = ("detector", "engine", "threads", "batch", "images_per_s", "start_s")
            print(json.dumps({name: rows[-1][name] for name in shown}), flush=True)
    (reference,) = {tuple(row["scores"]) for row in rows if row["engine"] == "inspect"}
    for row in rows:
        apart = [abs(ours - theirs) for ours, theirs in zip(reference, row.pop("scores"), strict=True)]
        row["score_difference"] = f"{max(apart) / max(map(abs, reference)):.1e}"
    return rows


def _run(command: list[str], threads: int, folder: Path) -> tuple[float, list[dict[str, Any]]]:
    """Seconds to the first score, and all that a process said."""
    fixed = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    environment = {**os.environ, **fixed, "TRUST_REMOTE_CODE": "1"}  # else anomalib opens none of its own files
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, preexec_fn=_kept_to(threads)
    )
    assert process.stdout is not None
    lines, start = [], 0.0
    for line in process.stdout:
        if line.startswith("{"):  # libraries print, too
            start = start or time.perf_counter() - begin
            lines.append(json.loads(line))
    if process.wait():
        raise RuntimeError(f"{' '.join(command)}: it ended with status {process.returncode}")
    return start, lines


def _kept_to(cores: int) -> Callable[[], None] | None:
    """Keeps a process to the first cores of this one, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    return lambda: os.sched_setaffinity(0, allowed)


def _size(model: Path) -> int:
    """Of a file, the first of several, and what lies beside it under the same name, bytes."""
    name = model.name.format(batch=BATCHES[0])
    return sum(path.stat().st_size for path in model.parent.glob(f"{name}*"))


def _print_ratios(rows: list[dict[str, Any]]) -> None:
    """Medians over rounds of pairs: how many times as fast as each of the peer's, and its start by ours."""
    key = ("detector", "threads", "batch", "round")
    ours = {(row["engine"], *(row[name] for name in key)): row for row in rows}
    for own in ("inspect", "inspect_onnx", "inspect_openvino"):
        for peer in sorted({row["engine"] for row in rows if row["engine"].startswith("anomalib")}):
            pairs: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
            for (engine, *rest), row in ours.items():
                if engine == own and (peer, *rest) in ours:
                    other = ours[(peer, *rest)]
                    faster = row["images_per_s"] / other["images_per_s"]
                    pairs.setdefault(tuple(rest[:3]), []).append((faster, row["start_s"] / other["start_s"]))
            for (detector, threads, batch), found in pairs.items():
                speed, start = (median(values) for values in zip(*found, strict=True))
                print(
                    f"{detector}, {threads} cores, batch {batch}: {own} {speed:.2f} x {peer}, start {start:.2f} of it"
                )


if __name__ == "__main__":
    main()
