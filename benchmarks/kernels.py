"""What each kernel of our own gains a user: our time beside that of the same computation by torch's own parts.

Both sides take turns in one process (the optimiser: in fresh processes, since its gain is what is not imported), and
their medians are compared. A kernel whose ratio falls to 1 has no reason to stay.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parent / "workflow" / "lib"
sys.path[:0] = [str(HERE), str(LIBRARY)]

COLUMNS = ("kernel", "case", "ours_ms", "plain_ms", "plain_by_ours", "repeats", "threads", "machine", "torch")
LINE = "{kernel}, {case}: {ours_ms} ms, torch's own {plain_ms} ms, {plain_by_ours} x"
FIRST_STEP = """
import sys, time; sys.path.insert(0, {library!r})
import torch
p = torch.zeros(8, requires_grad=True)
begun = time.perf_counter()
if {ours}:
    from variad.networks.training import FusedAdam
    adam = FusedAdam([p], 0.1)
else:
    adam = torch.optim.Adam([p], 0.1, fused=True)
p.sum().backward()
adam.step()
print(time.perf_counter() - begun)
"""


def main() -> None:
    """Measure every kernel and write one row a case."""
    import torch
    from timing import machine, write_rows

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="times that each side computes (default 15)")
    parser.add_argument("--output", type=Path, default=HERE / "kernels.csv", help="default: kernels.csv beside this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = [("FrozenConvolution", f"EfficientNet-Lite0, {n} x 224 px, with gradient", lite0(n)) for n in (1, 4)]
    cases.append(("CFlow's gradients", "256 positions, 112 channels, 8 blocks", flow()))
    rows = [_row(kernel, case, *turns(*sides, arguments.repeats), arguments.repeats) for kernel, case, sides in cases]
    repeats = max(1, arguments.repeats // 5)
    ours, plain = ([first_step(one) for _ in range(repeats)] for one in (True, False))
    rows.append(_row("FusedAdam", "first step of a fresh process", median(ours), median(plain), repeats))
    for row in rows:
        row.update(threads=1, machine=machine("cpu"), torch=torch.__version__)
        print(LINE.format(**row))
    write_rows(arguments.output, COLUMNS, rows)


def turns(ours: Callable[[], Any], plain: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median seconds of both, computed by turns after a warm-up."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 2):
        for side, found in zip((ours, plain), seconds, strict=True):
            begun = time.perf_counter()
            side()
            if turn > 1:
                found.append(time.perf_counter() - begun)
    return median(seconds[0]), median(seconds[1])


def lite0(count: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The packaged network with frozen convolutions, and as torch's layers with batch normalisation folded in."""
    import torch

    from variad.networks.efficientnet_lite0 import load_packaged

    images = torch.rand(count, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def gradient(network: Any) -> Callable[[], Any]:
        def compute() -> Any:
            x = images.clone().requires_grad_()
            return torch.autograd.grad(network(x).sum(), x)[0]

        return compute

    return gradient(load_packaged().freeze()), gradient(load_packaged())


def flow(channels: int = 112, count: int = 256, blocks: int = 8) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Loss and gradients of a fibre: written out, and by automatic differentiation of the same flow."""
    import torch
    from torch.nn.functional import logsigmoid

    from variad.detectors.cflow import flow_gradients
    from variad.detectors.cflow_coupling import (
        ConditionalFlow,
        FlowShape,
        Parameters,
        PositionCodes,
        initial_parameters,
        log_likelihood,
    )

    generator, side = torch.Generator().manual_seed(0), 28
    shape = FlowShape(channels, 128, blocks, 1.9)
    weights = initial_parameters(shape, generator)
    orders = torch.stack([torch.randperm(channels, generator=generator) for _ in range(blocks)])
    features = torch.randn(count, channels, generator=generator)
    codes = PositionCodes(side, side, shape.condition)
    places = codes.locate(torch.randint(0, side * side, (count,), generator=generator))
    code = torch.cat([codes.columns[places[0]], codes.rows[places[1] - side]], dim=1)
    ours, into = ConditionalFlow(shape, weights, orders), Parameters(shape, torch.empty_like(weights.flat))

    def written_out() -> Any:
        loss = flow_gradients(ours, features, codes, *places, into)
        return loss, into.flat

    def differentiated() -> Any:
        flat = weights.flat.clone().requires_grad_()
        loss = -logsigmoid(log_likelihood(*plain_flow(shape, Parameters(shape, flat), orders, features, code))).mean()
        loss.backward()
        return loss.detach(), flat.grad

    return written_out, differentiated


def plain_flow(shape: Any, weights: Any, orders: Any, features: Any, code: Any) -> tuple[Any, Any]:
    """Latents ``[N, C]`` and sums of logarithms of scales ``[N]``, block by block, for automatic differentiation."""
    import torch

    from variad.detectors.cflow_coupling import channel_scale

    conditioned = (code @ weights.condition + weights.condition_bias).chunk(shape.blocks, dim=1)
    log_determinants = torch.zeros(len(features))
    for block in range(shape.blocks):
        passive, active = features[:, : shape.passive], features[:, shape.passive :]
        hidden = torch.relu(passive @ weights.first[block] + conditioned[block])
        output = 0.1 * (hidden @ weights.second[block] + weights.second_bias[block])
        log_scale = shape.clamp * torch.tanh(output[:, : shape.active])
        moved = torch.cat([passive, active * log_scale.exp() + output[:, shape.active :]], dim=1)
        scale = channel_scale(weights.scale[block])
        features = moved[:, orders[block]] * scale + weights.offset[block]
        log_determinants = log_determinants + log_scale.sum(dim=1) + scale.log().sum()
    return features, log_determinants


def first_step(ours: bool) -> float:
    """Seconds of making an optimiser and its first step, torch itself being imported."""
    code = FIRST_STEP.format(library=str(LIBRARY), ours=ours)
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def _row(kernel: str, case: str, ours: float, plain: float, repeats: int) -> dict[str, Any]:
    milliseconds = {"ours_ms": round(1000 * ours, 2), "plain_ms": round(1000 * plain, 2)}
    return {"kernel": kernel, "case": case, **milliseconds, "plain_by_ours": round(plain / ours, 2), "repeats": repeats}


if __name__ == "__main__":
    main()
