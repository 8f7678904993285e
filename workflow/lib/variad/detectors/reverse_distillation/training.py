"""Training of Reverse Distillation's student on a teacher's cached features."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from variad.detectors.plateau import Plateau
from variad.detectors.reverse_distillation.feature_similarity import distillation_loss
from variad.fused_adam import FusedAdam

BETAS = (0.5, 0.999)  # Deng & Li, CVPR 2022, section 4.1


@dataclass(frozen=True)
class Schedule:
    """``max_steps`` ends the training within an epoch; ``patience`` as in ``Plateau``; None of either is no limit."""

    epochs: int
    max_steps: int | None
    batch_size: int
    learning_rate: float
    patience: int | None

    def steps(self, images: int) -> int:
        """Optimiser steps for a training set, without an early stop."""
        steps = self.epochs * math.ceil(images / self.batch_size)
        return min(steps, self.max_steps or steps)


def train_student(
    student: nn.Module, teacher: Sequence[Tensor], schedule: Schedule, generator: torch.Generator, half: bool
) -> list[float]:
    """Train in place; the mean loss of each epoch.

    Args:
        teacher: layers ``[N, h, w, C]``, shallow to deep, on the student's device.
        generator: shuffles the images of an epoch; on the CPU.
        half: convolutions in bfloat16, weights and loss in float32.
    """
    device = teacher[0].device
    student.train()
    optimiser = FusedAdam(student.parameters(), schedule.learning_rate, BETAS)
    plateau, means = Plateau(schedule.patience), []
    left = schedule.steps(len(teacher[0]))
    with tqdm(total=left, unit="step", desc="student", mininterval=5, disable=None) as progress:
        while left:
            order = torch.randperm(len(teacher[0]), generator=generator).to(device)
            losses = []
            for rows in order.split(schedule.batch_size)[:left]:
                losses.append(_step(student, [layer[rows] for layer in teacher], optimiser, half))
            left -= len(losses)
            progress.update(len(losses))
            means.append(torch.stack(losses).mean())
            if schedule.patience is not None and plateau.reached(means[-1].item()):
                break
    return torch.stack(means).tolist()


def _step(student: nn.Module, teacher: Sequence[Tensor], optimiser: FusedAdam, half: bool) -> Tensor:
    loss = distillation_loss(teacher, restore(student, teacher, half))
    loss.backward()
    optimiser.step()
    return loss.detach()


def restore(student: nn.Module, teacher: Sequence[Tensor], half: bool) -> list[Tensor]:
    """The student's version of layers ``[B, h, w, C]``, float32 of the same shapes."""
    dtype = torch.bfloat16 if half else torch.float32
    # channels last in memory, channels first in name: no copy is made
    given = [layer.to(dtype).permute(0, 3, 1, 2) for layer in teacher]
    with torch.autocast(teacher[0].device.type, torch.bfloat16, enabled=half):
        restored: list[Tensor] = student(given)
    return [layer.permute(0, 2, 3, 1).float() for layer in restored]
