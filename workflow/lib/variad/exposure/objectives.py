"""What a network is fine-tuned to tell apart, and the loss for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from variad.errors import UserError

Name = Literal["classification", "regression", "rotation", "relabelled"]
WITH_ANOMALIES = ("classification", "regression")


@dataclass(frozen=True)
class Objective:
    """A head of ``outputs`` numbers and the loss of its predictions ``[B, outputs]`` for targets ``[B]``."""

    outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]


def _binary(predictions: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(predictions[:, 0], targets)


def _squared(predictions: Tensor, targets: Tensor) -> Tensor:
    return functional.mse_loss(predictions[:, 0], targets)


def _quarters(predictions: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(predictions, targets.long())


OBJECTIVES: dict[str, Objective] = {
    "classification": Objective(1, _binary),
    "regression": Objective(1, _squared),
    "rotation": Objective(4, _quarters),
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
