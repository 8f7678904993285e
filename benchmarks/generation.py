"""Images a second of the generator against a plain loop, same models and steps, alternating in one run.

    python benchmarks/generation.py                                  # the small models, on the CPU
    python benchmarks/generation.py --models full --device cuda      # full-size architectures, random weights

On a CPU both get one core, then all of them, each in its own way: the loop is one process of so many threads, the
engine so many processes of one thread, as the workflow's jobs are. Every measurement runs in processes of its own, so
that peaks of memory and settings of the allocator stay apart. Results go to a CSV with the machine's facts; ratios of
medians are printed.
"""

import argparse
import csv
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

COLUMNS = (
    "engine", "device", "models", "precision", "batch", "images", "iterations", "cutouts", "size", "processes",
    "threads", "seconds", "images_per_second", "peak_gb", "machine", "torch",
)  # fmt: skip


def main() -> None:
    """Run the measurements, or one of them when called by itself."""
    arguments = _parsed()
    if arguments.only:
        print(json.dumps(_measured(arguments)))
        return
    rows = []
    engines = [("plain", 1), *(("variad", size) for size in arguments.batch)]
    cases = [(cores, engine, batch) for cores in sorted(set(arguments.cores)) for engine, batch in engines]
    for repeat in range(arguments.repeats):
        for cores, engine, batch in cases if repeat % 2 == 0 else reversed(cases):
            rows.append(_in_own_processes(arguments, cores, engine, batch))
            names = ("engine", "batch", "processes", "threads", "images_per_second", "peak_gb")
            print(json.dumps({name: rows[-1][name] for name in names}), flush=True)
    _write(arguments.output, rows)
    _print_ratios(rows)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", choices=("small", "full"), default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--precision", choices=("float32", "tf32", "bfloat16"), default="bfloat16", help="of the engine"
    )
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 8], help="batch sizes of the engine")
    parser.add_argument("--images", type=int, default=8, help="of every process")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--cutouts", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--cores", type=int, nargs="+", default=None, help="of a CPU, 1 and all if not given")
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=HERE / "generation.csv")
    parser.add_argument("--only", choices=("plain", "variad"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cores is None:
        arguments.cores = [1, os.cpu_count() or 1] if arguments.device == "cpu" else [1]
    return arguments


def _in_own_processes(arguments: argparse.Namespace, cores: int, engine: str, batch: int) -> dict[str, object]:
    """One measurement: of one process, or of several that begin together and count until the last has ended."""
    processes, threads = (1, cores) if engine == "plain" else (cores, 1)
    names = ("models", "device", "precision", "images", "iterations", "cutouts", "size")
    options = [f"--{name}={getattr(arguments, name)}" for name in names]
    command = [sys.executable, __file__, *options, f"--only={engine}", f"--batch={batch}", f"--threads={threads}"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    children = [
        subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    try:
        for child in children:
            _line_of(child)  # warmed up
        for child in children:
            print(file=child.stdin, flush=True)
        found = [json.loads(_line_of(child)) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    images, seconds = sum(row["images"] for row in found), max(row["seconds"] for row in found)
    rate, peak = round(images / seconds, 4), round(sum(row["peak_gb"] for row in found), 3)
    together = {"images": images, "seconds": seconds, "images_per_second": rate, "peak_gb": peak}
    return {**found[0], **together, "processes": processes}


def _line_of(child: "subprocess.Popen[str]") -> str:
    line = child.stdout.readline() if child.stdout else ""
    if not line:
        raise SystemExit("a measuring process has failed")
    return line


def _measured(arguments: argparse.Namespace) -> dict[str, object]:
    """One warm-up image or batch, then ``images`` images; seconds of the guided steps and the last decoding alone.

    In between a line is written, and one waited for, so that several processes can begin together.
    """
    import torch

    torch.set_num_threads(arguments.threads)
    work, precision = _work(arguments)
    batch = arguments.batch[0] if arguments.only == "variad" else 1
    work(range(batch))
    _wait(arguments.device)
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.perf_counter()
    for start in range(0, arguments.images, batch):
        work(range(start, min(start + batch, arguments.images)))
    _wait(arguments.device)
    seconds = time.perf_counter() - begin
    values = (
        arguments.only, arguments.device, arguments.models, precision, batch, arguments.images, arguments.iterations,
        arguments.cutouts, arguments.size, 1, arguments.threads, round(seconds, 3),
        round(arguments.images / seconds, 4), round(_peak(arguments.device), 3),
        _machine(arguments.device), torch.__version__,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _work(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    """What makes the images of some places, and its precision."""
    import torch
    from plain_generation import guide_one, use_tamings_activation
    from timing import computed_in

    from variad.core.job import keep_freed_memory
    from variad.generation.steps import guide
    from variad.networks.vqgan import fold_upsampling

    vqgan, by, starts, settings = _models(arguments)

    def plain(places):  # type: ignore[no-untyped-def]
        for place in places:
            generator = torch.Generator().manual_seed(place)
            guide_one(starts[place : place + 1], by.rows(slice(place, place + 1)), vqgan, settings, generator)

    def ours(places):  # type: ignore[no-untyped-def]
        rows = slice(places.start, places.stop)
        generators = [torch.Generator().manual_seed(place) for place in places]
        guide(starts[rows], by.rows(rows), vqgan, settings, generators)

    if arguments.only == "plain":
        use_tamings_activation()
        return plain, "float32"
    keep_freed_memory()
    fold_upsampling(vqgan)
    vqgan.to(memory_format=torch.channels_last)
    return ours, computed_in(arguments.precision, arguments.device)


def _models(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    """VQGAN, guide, first latents of all images and settings; equal for both engines."""
    import torch
    from torch.nn import functional

    from variad.generation.guidance import Guide
    from variad.generation.settings import GenerationSettings

    torch.manual_seed(0)
    vqgan, encoder, width = (_small if arguments.models == "small" else _full)(arguments.device, arguments.only)
    count = max(arguments.images, *arguments.batch)
    side = arguments.size // vqgan.factor
    low, high = vqgan.codebook.amin(dim=0), vqgan.codebook.amax(dim=0)
    draws = torch.rand(count, len(low), side, side).to(low)
    starts = low[:, None, None] + (high - low)[:, None, None] * draws
    texts = functional.normalize(torch.randn(count, width), dim=1).to(arguments.device)
    settings = GenerationSettings(
        view="none", form="mu", sigma="codebook", noise_scale=0.0, iterations=arguments.iterations,
        learning_rate=0.05, anchor=1.0, guidance=1.0, cutouts=arguments.cutouts, precision=arguments.precision,
        output="decoded", min_similarity_gain=None, max_distance=None, batch_size=None,
    )  # fmt: skip
    return vqgan, Guide(encoder, texts), starts, settings


def _small(device: str, engine: str):  # type: ignore[no-untyped-def]
    """The VQGAN that ships, and EfficientNet-Lite0 as centred ConSE uses it (class names at random: same cost).

    The plain loop has timm's network with the same weights, as one gets it there.
    """
    import torch
    from plain_generation import timm_lite0

    from variad.networks.backbones import Lite0Backbone
    from variad.networks.conse import ConSE
    from variad.networks.vqgan import load_vqgan

    vqgan = load_vqgan(HERE.parent / "resources" / "vqgan_small" / "model.safetensors", fold=False).to(device)
    classes = torch.randn(1000, 384).to(device)
    classify = timm_lite0(device) if engine == "plain" else Lite0Backbone(["stage7"]).to(device).forward_logits
    return vqgan, ConSE(classify, classes, classes.mean(dim=0), resolution=128), 384


def _full(device: str, engine: str):  # type: ignore[no-untyped-def]
    """VQGAN f16 with 1,024 codes and CLIP ViT-B/16, the same for both engines; with random weights, at equal cost."""
    import open_clip

    from variad.networks.openclip import OpenClip
    from variad.networks.vqgan import VQGAN, VQGANConfig

    config = VQGANConfig(
        embed_dim=256, n_embed=1024, z_channels=256, ch=128, ch_mult=(1, 1, 2, 2, 4), num_res_blocks=2,
        attn_resolutions=(16,), resolution=256,
    )  # fmt: skip
    vqgan = VQGAN(config).eval().requires_grad_(False).to(device)
    vqgan.codebook.normal_()
    name = "ViT-B-16-quickgelu"
    clip = open_clip.create_model(name, pretrained=None, precision="fp32").eval().requires_grad_(False).to(device)
    preprocess, tokenizer = open_clip.get_model_preprocess_cfg(clip), open_clip.get_tokenizer(name)
    return vqgan, OpenClip(name, clip, preprocess, tokenizer, device), 512


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def _peak(device: str) -> float:
    """Most memory in use at once, GB: of the process, or of torch on a GPU."""
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.max_memory_reserved() / 1e9)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _machine(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name())
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _print_ratios(rows: list[dict[str, object]]) -> None:
    speed: dict[tuple[object, ...], list[float]] = {}
    for row in rows:
        cores = int(str(row["processes"])) * int(str(row["threads"]))
        speed.setdefault((cores, row["engine"], row["batch"]), []).append(float(str(row["images_per_second"])))
    for (cores, engine, batch), values in speed.items():
        median, plain = statistics.median(values), statistics.median(speed[cores, "plain", 1])
        ratio = f"{median / plain:.2f} x the plain loop"
        print(f"cores {cores}, {engine}, batch {batch}: {median:.3f} images/s, {ratio}")


if __name__ == "__main__":
    main()
