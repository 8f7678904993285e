"""Fine-tuning the last part of a network for a few dozen steps: what it tells apart, the loss, the anomaly score."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from variad.core.errors import UserError

WITH_ANOMALIES = ("classification", "regression")
NEIGHBOURS = 3


@dataclass(frozen=True)
class Objective:
    """A head of ``outputs`` numbers and the loss of its predictions ``[B, outputs]`` for targets ``[B]``."""

    outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]


def _binary(predictions: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(predictions[:, 0], targets)


OBJECTIVES: dict[str, Objective] = {
    "classification": Objective(1, _binary),
    "regression": Objective(1, lambda predictions, targets: functional.mse_loss(predictions[:, 0], targets)),
    "rotation": Objective(4, lambda predictions, targets: functional.cross_entropy(predictions, targets.long())),
    "relabelled": Objective(1, _binary),
}


def anomaly_targets(objective: str, source: str, strengths: NDArray[np.float64]) -> Tensor:
    """Targets of synthetic anomalies, ``[N]``: 1 for classification, the edit strength for regression (normals: 0).

    Raises:
        UserError: regression for a source whose anomalies do not differ in strength.

    Source: second document, section A.3.
    """
    if objective == "classification":
        return torch.ones(len(strengths))
    if len(np.unique(strengths[np.isfinite(strengths)])) < 2:
        raise UserError(
            f"config key exposure.sources.{source}: expected regression only for a source with several strengths, "
            "found anomalies of one strength."
        )
    return torch.tensor(strengths, dtype=torch.float32)


def random_halves(count: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """A random half of the support set, which ``relabelled`` takes for anomalies: bool ``[count]``."""
    chosen = np.zeros(count, bool)
    chosen[generator.permutation(count)[: count // 2]] = True
    return chosen


@dataclass(frozen=True)
class FineTuningSchedule:
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
    schedule: FineTuningSchedule,
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
    head = nn.Linear(width, wanted.outputs)
    with torch.no_grad():  # starts near zero, so that the first steps do not undo the pretrained embedding
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * 0.01 / width**0.5)
        head.bias.zero_()
    head = head.to(device)
    optimiser = torch.optim.AdamW([*tuned.parameters(), *head.parameters()], lr=schedule.learning_rate)
    losses = []
    for inputs, targets in _batches(examples, schedule, generator):
        loss = wanted.loss(head(tuned(inputs.to(device))), targets.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return tuned.requires_grad_(False), losses


def _batches(
    examples: Examples, schedule: FineTuningSchedule, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    share = max(1, schedule.batch_size // len(examples.activations))
    for _ in range(schedule.steps):
        rows = [torch.randint(len(group), (share,), generator=generator) for group in examples.activations]
        inputs = [group[row] for group, row in zip(examples.activations, rows, strict=True)]
        targets = [group[row] for group, row in zip(examples.targets, rows, strict=True)]
        yield torch.cat(inputs), torch.cat(targets).float()


def support_distance(embeddings: Tensor, support: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Total Euclidean distance to the closest support embeddings.

    Args:
        embeddings: of the images to score, ``[N, D]``.
        support: of the support images, ``[M, D]``.

    Returns:
        ``[N]``; higher is more anomalous.

    Raises:
        UserError: the support set has fewer images than ``neighbours``.

    Source: second document, section A.3.
    """
    if len(support) < neighbours:
        raise UserError(f"exposure: expected a support set of at least {neighbours} images, found {len(support)}.")
    # not by matrix products: they would cost digits where images are close to the support
    distances = torch.cdist(embeddings, support, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.topk(neighbours, dim=1, largest=False).values.sum(dim=1)
