"""Fine-tuning the last part of a pretrained network for a few dozen steps."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from variad.exposure.objectives import OBJECTIVES


@dataclass(frozen=True)
class Schedule:
    """How long and how fast; every objective and control has the same."""

    steps: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class Examples:
    """What a network learns from: groups of activations, each with targets; a batch takes as many of each group.

    Attributes:
        activations: of each group, ``[N, ...]``.
        targets: of each group, ``[N]``.
    """

    activations: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]


def fine_tune(
    tail: nn.Module,
    width: int,
    objective: str,
    examples: Examples,
    schedule: Schedule,
    generator: torch.Generator,
    device: str = "cpu",
) -> tuple[nn.Module, list[float]]:
    """A fine-tuned copy of ``tail`` without its head, and the loss of every step.

    AdamW [assumed] on tail and head; a network's running statistics stay as they are.

    Args:
        width: of the tail's embedding, which a linear head predicts from.
        objective: a name of ``OBJECTIVES``.
        generator: draws head and batches, on the CPU.
    """
    wanted = OBJECTIVES[objective]
    tuned = copy.deepcopy(tail).eval().requires_grad_(True).to(device)
    head = _head(width, wanted.outputs, generator).to(device)
    optimiser = torch.optim.AdamW([*tuned.parameters(), *head.parameters()], lr=schedule.learning_rate)
    losses = []
    for inputs, targets in _batches(examples, schedule, generator):
        loss = wanted.loss(head(tuned(inputs.to(device))), targets.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return tuned.requires_grad_(False), losses


def _head(width: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    # starts near zero, so that the first steps do not undo the pretrained embedding
    head = nn.Linear(width, outputs)
    with torch.no_grad():
        head.weight.copy_(torch.randn(outputs, width, generator=generator) * 0.01 / width**0.5)
        head.bias.zero_()
    return head


def _batches(examples: Examples, schedule: Schedule, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    share = max(1, schedule.batch_size // len(examples.activations))
    for _ in range(schedule.steps):
        rows = [torch.randint(len(group), (share,), generator=generator) for group in examples.activations]
        inputs = [group[row] for group, row in zip(examples.activations, rows, strict=True)]
        targets = [group[row] for group, row in zip(examples.targets, rows, strict=True)]
        yield torch.cat(inputs), torch.cat(targets).float()
