"""The generator with the published sizes on a GPU, beside a plain loop: one command, four minutes on an H200.

    python benchmarks/generation_gpu.py                       # every row, into generation_gpu.csv
    python benchmarks/generation_gpu.py --batch 1 4 --limit 60 --output smoke.csv
    python benchmarks/generation_gpu.py --profile profile.txt # and where a step's time goes, by kernel

VQGAN f16 with 1,024 codes and CLIP ViT-B/16, random weights, 224 px. The plain loop is in float32 as torch gives it,
with convolutions in TF32, and a second time without (``exact``). Seconds are those of ``guide``, from latents to the
last decoded image, with a step that was recorded before (``record_s``), as it is for all batches of a training set but
the first. A row is written as soon as it is measured; one that fails says why, and the next ones run in a new process.
"""

import argparse
import contextlib
import copy
import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

COLUMNS = (
    "engine", "precision", "variant", "batch", "iterations", "cutouts", "size", "repeats", "seconds",
    "images_per_second", "by_plain", "step_ms", "record_s", "peak_gb", "first_loss", "last_loss", "graph", "machine",
    "torch", "error",
)  # fmt: skip
GROUPS = ("plain", "bfloat16", "tf32", "float32", "adm")  # a process each: plain loop, the engine's precisions, ADM
VARIANTS = ("no graph", "any kernel", "planes", "unfolded")  # each takes one cure away, of bfloat16 at one batch size
VARIANT_BATCH = 16
ADM_BATCH, ADM_EVALUATIONS = 32, 100  # 50 steps to the noise, 50 back
PATIENCE = 6.0  # seconds of one run above which it is not repeated
START = 40.0  # seconds that a process needs at most before its first row


def main() -> None:
    """Run all groups, or one of them when called by itself."""
    arguments = _parsed()
    if arguments.only:
        _measure_group(arguments)
        return
    end = time.monotonic() + arguments.limit
    with open(arguments.output, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        plain = None
        for group in arguments.groups:
            for row in _group_rows(arguments, group, end):
                if group == "plain":
                    plain = plain or row.get("images_per_second")
                if plain and row.get("images_per_second") and group != "adm":
                    row["by_plain"] = round(row["images_per_second"] / plain, 2)
                writer.writerow(row)
                stream.flush()
                names = ("engine", "precision", "variant", "batch", "images_per_second", "by_plain", "step_ms")
                print(*(f"{name}={row.get(name)}" for name in (*names, "record_s", "peak_gb", "error")), flush=True)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", choices=("small", "full"), default="full")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--cutouts", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=240.0, help="seconds after which nothing more is begun")
    parser.add_argument("--output", type=Path, default=HERE / "generation_gpu.csv")
    parser.add_argument("--profile", type=Path, help="file for the kernels of a step in bfloat16, by their time")
    parser.add_argument("--only", choices=GROUPS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=json.loads, help=argparse.SUPPRESS)  # [[batch, variant], ...]
    return parser.parse_args()


def _group_rows(arguments: argparse.Namespace, group: str, end: float) -> Iterator[dict[str, Any]]:
    """Rows of a group as they come; after one that failed the others come from a new process."""
    waiting = {"plain": [(1, ""), (1, "exact")], "adm": [(ADM_BATCH, "bfloat16"), (ADM_BATCH, "tf32")]}.get(
        group, [(size, "") for size in arguments.batch]
    )
    if group == "bfloat16" and VARIANT_BATCH in arguments.batch:
        waiting += [(VARIANT_BATCH, variant) for variant in VARIANTS]
    while waiting and time.monotonic() + START < end:
        names = ("device", "models", "iterations", "cutouts", "size", "repeats")
        command = [sys.executable, __file__, f"--only={group}", f"--rows={json.dumps(waiting)}"]
        command += [f"--{name}={getattr(arguments, name)}" for name in names]
        command += [f"--profile={arguments.profile}"] if arguments.profile and group == "bfloat16" else []
        left = end - time.monotonic()
        child = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
        with _killed_after(child, left):
            assert child.stdout is not None
            for line in child.stdout:
                if line.startswith("{"):
                    waiting.pop(0)
                    yield json.loads(line)
            child.wait()
        if waiting and child.returncode:
            size, variant = waiting.pop(0)
            engine = group if group in ("plain", "adm") else "variad"
            reason = "no time left" if time.monotonic() >= end else f"the process ended with {child.returncode}"
            yield {"engine": engine, "precision": group, "variant": variant, "batch": size, "error": reason}
    for size, variant in waiting:
        engine = group if group in ("plain", "adm") else "variad"
        yield {"engine": engine, "precision": group, "variant": variant, "batch": size, "error": "no time left"}


@contextlib.contextmanager
def _killed_after(child: "subprocess.Popen[str]", seconds: float) -> Iterator[None]:
    import threading

    timer = threading.Timer(seconds, child.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        child.kill()
        child.wait()


def _measure_group(arguments: argparse.Namespace) -> None:
    """A row on each line of the output; an error ends the process, since a GPU's may outlast its cause."""
    given = () if arguments.only == "adm" else _given(arguments, max(size for size, _ in arguments.rows))
    for size, variant in arguments.rows:
        try:
            if arguments.only == "plain":
                row = _plain(arguments, variant, *given)
            elif arguments.only == "adm":
                row = _adm(arguments, size, variant)
            else:
                row = _engine(arguments, size, variant, *given)
        except Exception as error:  # the row says it, and the parent goes on
            row = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
            print(json.dumps(_facts(arguments, size, variant) | row), flush=True)
            raise
        print(json.dumps(_facts(arguments, size, variant) | row), flush=True)
    if arguments.profile and arguments.only == "bfloat16":
        _profile(arguments, *given)


def _given(arguments: argparse.Namespace, largest: int) -> tuple[Any, ...]:
    """Networks, guide, starts and settings of ``generation.py``, in float32 on the device."""
    from generation import _models

    precision = "float32" if arguments.only == "plain" else arguments.only
    values = {**vars(arguments), "images": 4, "batch": [largest], "precision": precision}
    return _models(argparse.Namespace(**values))


def _facts(arguments: argparse.Namespace, size: int, variant: str) -> dict[str, Any]:
    import torch
    from timing import computed_in, machine

    engine = arguments.only if arguments.only in ("plain", "adm") else "variad"
    asked = {"plain": "float32", "adm": variant}.get(engine, arguments.only)
    precision = computed_in(asked, arguments.device)
    names = ("iterations", "cutouts", "size")
    return {
        "engine": engine, "precision": precision, "variant": variant, "batch": size,
        **{name: getattr(arguments, name) for name in names},
        "machine": machine(arguments.device), "torch": torch.__version__,
    }  # fmt: skip


def _plain(
    arguments: argparse.Namespace, variant: str, vqgan: Any, by: Any, starts: Any, settings: Any
) -> dict[str, Any]:
    import torch
    from plain_generation import guide_one, use_tamings_activation

    use_tamings_activation()
    torch.backends.cudnn.allow_tf32 = variant != "exact"

    def one(place: int) -> None:
        guide_one(
            starts[place : place + 1], by.rows(slice(place, place + 1)), vqgan, settings, _generators(1, place)[0]
        )

    record = _seconds(arguments.device, lambda: one(0))
    _forget(arguments.device)
    seconds = [_seconds(arguments.device, lambda place=place: one(place)) for place in range(arguments.repeats)]
    return _timed(arguments, 1, seconds, record)


def _engine(
    arguments: argparse.Namespace, size: int, variant: str, vqgan: Any, by: Any, starts: Any, settings: Any
) -> dict[str, Any]:
    import torch

    from variad.generation.steps import GuidedBatch, Steps, guide
    from variad.networks.vqgan import fold_upsampling

    vqgan = copy.deepcopy(vqgan)
    if variant != "unfolded":
        fold_upsampling(vqgan)
    rows = slice(size)
    with _variant(variant):
        _forget(arguments.device)
        steps: Any = None

        def record() -> None:
            nonlocal steps
            steps = Steps(vqgan, by.encoder, settings, arguments.device, _arithmetic(arguments, variant))
            steps.begin(GuidedBatch(starts[rows], by.texts[rows]))
            windows = torch.zeros(size, settings.cutouts, 2, 3, device=starts.device)
            steps.move(windows)
            steps.finish(windows)

        record_s = _seconds(arguments.device, record)
        seconds: list[float] = []
        made: Any = None

        def run() -> None:
            nonlocal made
            made = guide(starts[rows], by.rows(rows), vqgan, settings, _generators(size), steps=steps)

        while len(seconds) < arguments.repeats and (not seconds or seconds[-1] < PATIENCE):
            seconds.append(_seconds(arguments.device, run))
        losses = {"first_loss": round(float(made.loss[0, 0]), 5), "last_loss": round(float(made.loss[0, -1]), 5)}
        return _timed(arguments, size, seconds, record_s) | losses | {"graph": steps.arithmetic.graph}


def _adm(arguments: argparse.Namespace, size: int, precision: str) -> dict[str, Any]:
    """ADM at 256 px, random weights: images a second of ``ADM_EVALUATIONS`` that take what ten do on average."""
    import torch

    from variad.core.precision import Arithmetic
    from variad.networks.adm import build_adm
    from variad.networks.diffusion_models import DiffusionModel, linear_alphas_cumprod, on_device

    _forget(arguments.device)
    with torch.device(arguments.device):
        unet = build_adm().eval().requires_grad_(False)
        x = torch.randn(size, 3, 256, 256)
    unet = on_device(unet, Arithmetic.of(precision, arguments.device), arguments.device)
    model = DiffusionModel(unet, linear_alphas_cumprod(), 256, precision=precision)  # type: ignore[arg-type]

    @torch.no_grad()
    def evaluate(times: int) -> None:
        for place in range(times):
            model.epsilon(x, 90 * place)

    record = _seconds(arguments.device, lambda: evaluate(2))
    seconds = [_seconds(arguments.device, lambda: evaluate(10)) / 10 for _ in range(min(2, arguments.repeats))]
    middle = statistics.median(seconds)
    return _timed(arguments, size, [middle * ADM_EVALUATIONS], record) | {
        "iterations": ADM_EVALUATIONS, "size": 256, "cutouts": None, "step_ms": round(1000 * middle, 2),
    }  # fmt: skip


def _arithmetic(arguments: argparse.Namespace, variant: str) -> Any:
    from dataclasses import replace

    from variad.core.precision import Arithmetic

    own = Arithmetic.of(arguments.only, arguments.device)
    return replace(own, graph=False) if variant == "no graph" else own


@contextlib.contextmanager
def _variant(name: str) -> Iterator[None]:
    """One of the engine's cures taken away: kernels that repeat their results, or norms that stay channels last."""
    from variad.core import precision
    from variad.networks import frozen_vqgan, group_norm

    kernels, stays = precision.Arithmetic.kernels, group_norm.norms_stay_channels_last
    if name == "any kernel":
        precision.Arithmetic.kernels = lambda self: precision.products(self.precision, "cuda")  # type: ignore[method-assign]
    if name == "planes":
        frozen_vqgan.norms_stay_channels_last = group_norm.norms_stay_channels_last = lambda device: False
    try:
        yield
    finally:
        precision.Arithmetic.kernels = kernels  # type: ignore[method-assign]
        frozen_vqgan.norms_stay_channels_last = group_norm.norms_stay_channels_last = stays


def _profile(arguments: argparse.Namespace, vqgan: Any, by: Any, starts: Any, settings: Any) -> None:
    """The kernels of one step, taken by itself, with their share of the GPU's time."""
    import torch
    from generation import _wait
    from torch.profiler import ProfilerActivity, profile

    from variad.generation.steps import GuidedBatch, Steps
    from variad.networks.vqgan import fold_upsampling

    fold_upsampling(vqgan)
    size = min(VARIANT_BATCH, len(starts))
    steps = Steps(vqgan, by.encoder, settings, arguments.device, _arithmetic(arguments, "no graph"))
    steps.begin(GuidedBatch(starts[:size], by.texts[:size]))
    windows = torch.zeros(size, settings.cutouts, 2, 3, device=starts.device)
    windows[..., 0, 0] = windows[..., 1, 1] = 0.7
    for _ in range(3):
        steps.move(windows)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        steps.move(windows)
        _wait(arguments.device)
    table = seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=40, max_name_column_width=90)
    arguments.profile.write_text(f"{arguments.only}, batch {size}\n{table}\n", encoding="utf-8")


def _generators(count: int, first: int = 0) -> list[Any]:
    import torch

    return [torch.Generator().manual_seed(first + place) for place in range(count)]


def _timed(arguments: argparse.Namespace, size: int, seconds: list[float], record: float) -> dict[str, Any]:
    middle = statistics.median(seconds)
    return {
        "repeats": len(seconds), "seconds": round(middle, 4), "images_per_second": round(size / middle, 4),
        "step_ms": round(1000 * middle / (arguments.iterations + 1), 2), "record_s": round(record, 2),
        "peak_gb": round(_peak(arguments.device), 2),
    }  # fmt: skip


def _seconds(device: str, work: Any) -> float:
    from generation import _wait

    _wait(device)
    begin = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - begin


def _forget(device: str) -> None:
    """Give back what the last row used, and begin to count anew."""
    if device.startswith("cuda"):
        import gc

        import torch

        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> float:
    from generation import _peak as peak

    return peak(device)


if __name__ == "__main__":
    main()
