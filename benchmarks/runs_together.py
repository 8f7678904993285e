"""Seconds of a training step of several runs: one after another, or at once with batched weights.

A cell of the study trains one detector on several draws of shots. Their networks have the same shape, so that one call
could compute them all (``torch.func.vmap`` over stacked weights). Forward and backward pass at the sizes of the default
study, random weights and inputs, alternating; both ways give the same gradients, which is checked in float32. CFlow's
loop has the gradients that its training has, written by hand; its batched way has automatic ones.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

import torch  # noqa: E402, after the path
from timing import computed_in, machine, write_rows  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.func import functional_call, grad, stack_module_state, vmap  # noqa: E402

COLUMNS = ("detector", "runs", "precision", "threads", "loop_ms", "batched_ms", "loop_by_batched", "machine", "torch")
Gradients = list[Tensor]  # [runs, ...] each
Step = Callable[[], Gradients]
LARGEST_DIFFERENCE = 1e-3  # of the two ways' gradients in float32, relative to the largest


def main() -> None:
    """Measure every detector that trains a network, and write one row each."""
    arguments = _parsed()
    torch.set_num_threads(arguments.threads)
    from variad.core.job import keep_freed_memory

    keep_freed_memory()
    rows = []
    for name, make in MAKERS.items():
        torch.manual_seed(0)
        _check_equal(name, *make(arguments.runs, torch.float32))
        for precision in dict.fromkeys(computed_in(one, "cpu") for one in PRECISIONS[name]):
            loop, batched = _medians(make(arguments.runs, getattr(torch, precision)), arguments.repeats)
            values = (
                name, arguments.runs, precision, arguments.threads, round(loop, 1),
                round(batched, 1), round(loop / batched, 2), machine("cpu"), torch.__version__,
            )  # fmt: skip
            rows.append(dict(zip(COLUMNS, values, strict=True)))
            print(*values[:7], flush=True)
    write_rows(arguments.output, COLUMNS, rows)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="networks trained together")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="as many as a job of the workflow has")
    parser.add_argument("--output", type=Path, default=HERE / "runs_together.csv")
    return parser.parse_args()


def _medians(steps: tuple[Step, Step], repeats: int) -> tuple[float, float]:
    """Milliseconds of each step, taken in turn, after one of each to warm up."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for step, found in zip(steps, seconds, strict=True):
            begin = time.perf_counter()
            step()
            if repeat:
                found.append(1000 * (time.perf_counter() - begin))
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _check_equal(name: str, loop: Step, batched: Step) -> None:
    one, other = (torch.cat([values.flatten(1) for values in step()], dim=1) for step in (loop, batched))
    difference = ((one - other).abs().max() / one.abs().max()).item()
    if not difference <= LARGEST_DIFFERENCE:
        sys.exit(f"{name}: expected equal gradients from both ways, found a difference of {difference:.1e}.")


def _of_networks(networks: list[nn.Module], loss: Callable[..., Tensor], inputs: Any) -> tuple[Step, Step]:
    """Both ways for networks of one shape.

    Args:
        loss: of a network (or what behaves like one) and its inputs.
        inputs: tensors ``[runs, ...]``.
    """
    skeleton = copy.deepcopy(networks[0])
    parameters, buffers = stack_module_state(networks)  # type: ignore[arg-type]  # its hint lacks a covariant list

    def of_state(state: dict[str, Tensor], held: dict[str, Tensor], *given: Tensor) -> Tensor:
        return loss(lambda *values: functional_call(skeleton, (state, held), values), *given)

    def loop() -> Gradients:
        found = []
        for run, network in enumerate(networks):
            total = loss(network, *(values[run] for values in inputs))
            found.append(torch.autograd.grad(total, list(network.parameters())))
        return [torch.stack(values) for values in zip(*found, strict=True)]

    def batched() -> Gradients:
        gradients: dict[str, Tensor] = vmap(grad(of_state))(parameters, buffers, *inputs)
        return list(gradients.values())

    return loop, batched


def _reverse_distillation(runs: int, dtype: torch.dtype) -> tuple[Step, Step]:
    """A step of 8 images."""
    from variad.detectors.reverse_distillation import distillation_loss, restore
    from variad.detectors.reverse_distillation_networks import Encoder, Student, StudentWidths

    encoder = Encoder(channels=(40, 112), strides=(2,), rectified=(False, False))
    widths = StudentWidths("basic", 1, (1, 1), 1, 1)
    students: list[nn.Module] = [Student(encoder, widths).train() for _ in range(runs)]

    def loss(student: Any, *teacher: Tensor) -> Tensor:
        return distillation_loss(teacher, restore(student, teacher, dtype is torch.bfloat16))

    return _of_networks(students, loss, [torch.randn(runs, 8, 28, 28, 40), torch.randn(runs, 8, 14, 14, 112)])


def _efficientad(runs: int, dtype: torch.dtype) -> tuple[Step, Step]:
    """A step of one image and one penalty image at 112 px, a quarter of PDN-S, no autoencoder."""
    from variad.detectors.efficientad_networks import HARDEST, hard_feature_loss
    from variad.networks.pdn import NETWORKS, PDN, output_side

    students: list[nn.Module] = [PDN(NETWORKS["pdn_tiny"]).train() for _ in range(runs)]

    def loss(student: Any, images: Tensor, answers: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            described = student(images)
        described = described.float()
        return hard_feature_loss((described[:1] - answers).square(), HARDEST) + described[1:].square().mean()

    side = output_side(112)
    return _of_networks(students, loss, [torch.randn(runs, 2, 3, 112, 112), torch.randn(runs, 1, 96, side, side)])


def _cflow(runs: int, dtype: torch.dtype) -> tuple[Step, Step]:
    """A fibre of 512 positions with 112 channels, 4 blocks; the loop has the gradients that are written out."""
    from variad.detectors.cflow import flow_gradients
    from variad.detectors.cflow_coupling import (
        ConditionalFlow,
        FlowShape,
        Parameters,
        PositionCodes,
        initial_parameters,
    )

    shape, codes = FlowShape(channels=112, condition=128, blocks=4, clamp=1.9), PositionCodes(14, 14, 128)
    generator = torch.Generator().manual_seed(0)
    flats = torch.stack([initial_parameters(shape, generator).flat for _ in range(runs)])
    orders = torch.stack([torch.randperm(112, generator=generator) for _ in range(4)])
    fibres = torch.randn(runs, 512, 112, generator=generator)
    columns, rows = codes.locate(torch.randint(14 * 14, (runs, 512), generator=generator))
    flows = [ConditionalFlow(shape, Parameters(shape, flat), orders, dtype) for flat in flats]
    into = [Parameters(shape, torch.zeros_like(flat)) for flat in flats]

    def loop() -> Gradients:
        for run, flow in enumerate(flows):
            flow_gradients(flow, fibres[run], codes, columns[run], rows[run], into[run])
        return [torch.stack([one.flat for one in into])]

    def loss(flat: Tensor, fibre: Tensor, condition: Tensor) -> Tensor:
        return _flow_loss(Parameters(shape, flat), shape, orders, fibre, condition, dtype)

    conditions = torch.cat([codes.columns[columns], codes.rows[rows]], dim=2)
    return loop, lambda: [vmap(grad(loss))(flats, fibres, conditions)]


def _flow_loss(
    weights: Any, shape: Any, orders: Tensor, fibre: Tensor, condition: Tensor, dtype: torch.dtype
) -> Tensor:
    """``flow_gradients``'s loss for automatic differentiation, which in-place products do not allow."""
    from variad.detectors.cflow_coupling import channel_scale, log_likelihood

    scales = channel_scale(weights.scale)
    hidden_parts = (condition @ weights.condition + weights.condition_bias).split(shape.hidden, dim=1)
    log_determinants = scales.log().sum()
    for block, hidden in enumerate(hidden_parts):
        passive, active = fibre.split([shape.passive, shape.active], dim=1)
        hidden = (hidden.to(dtype) + passive.to(dtype) @ weights.first[block].to(dtype)).relu()
        output = 0.1 * (hidden @ weights.second[block].to(dtype) + weights.second_bias[block].to(dtype))
        log_scale, shift = output.float().split(shape.active, dim=1)
        growth = shape.clamp * log_scale.tanh()
        log_determinants = log_determinants + growth.sum(dim=1)
        fibre = torch.cat([passive, active * growth.exp() + shift], dim=1)[:, orders[block]]
        fibre = fibre * scales[block] + weights.offset[block]
    return -nn.functional.logsigmoid(log_likelihood(fibre, log_determinants)).mean()


MAKERS = {"cflow": _cflow, "reverse_distillation": _reverse_distillation, "efficientad": _efficientad}
BOTH = ("float32", "bfloat16")
# vmap knows no batch normalisation of bfloat16
PRECISIONS = {"cflow": BOTH, "reverse_distillation": ("float32",), "efficientad": BOTH}

if __name__ == "__main__":
    main()
