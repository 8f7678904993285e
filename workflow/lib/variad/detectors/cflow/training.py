"""Training a conditional flow on the feature vectors of one layer, one Adam step a fibre."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from variad.detectors.cflow.coupling import ConditionalFlow, FlowShape, Parameters, initial_parameters, log_likelihood
from variad.detectors.cflow.position_codes import PositionCodes
from variad.detectors.plateau import Plateau
from variad.fused_adam import FusedAdam


@dataclass(frozen=True)
class Schedule:
    """How a flow is trained: the settings of ``CFlow`` of these names."""

    epochs: int
    fiber_batch_size: int
    learning_rate: float
    warmup_fraction: float
    cosine: bool
    patience: int | None
    dtype: torch.dtype

    def rate(self, part: float) -> float:
        """Learning rate when ``part`` of the training is over, 0 to 1.

        It rises from a tenth along a line for ``warmup_fraction``, then follows half a cosine down to a thousandth.
        """
        if part < self.warmup_fraction:
            risen = part / self.warmup_fraction
            return self.learning_rate / 10 * (1 - risen) + self._decayed(self.warmup_fraction) * risen
        return self._decayed(part)

    def _decayed(self, part: float) -> float:
        if not self.cosine:
            return self.learning_rate
        return self.learning_rate * (0.001 + 0.999 * (1 + math.cos(math.pi * part)) / 2)


class FlowTraining:
    """A flow while it is trained.

    Args:
        features: all training positions of a layer, row by row, image after image, ``[M, channels]``.
        codes: of the layer's grid, on the device of ``features``.
        generator: on the CPU, so that devices agree.
    """

    def __init__(
        self, features: Tensor, codes: PositionCodes, shape: FlowShape, schedule: Schedule, generator: torch.Generator
    ) -> None:
        device = features.device
        weights = initial_parameters(shape, generator)
        permutations = torch.stack([torch.randperm(shape.channels, generator=generator) for _ in range(shape.blocks)])
        weights = Parameters(shape, weights.flat.to(device))
        self.flow = ConditionalFlow(shape, weights, permutations.to(device), schedule.dtype)
        self.features, self.codes, self.schedule, self.generator = features, codes, schedule, generator
        self.gradients = Parameters(shape, torch.zeros_like(weights.flat))
        self.adam = FusedAdam([weights.flat], schedule.learning_rate)

    def run(self, after_epoch: Callable[[], object]) -> ConditionalFlow:
        """All epochs, or fewer when the loss stays on a plateau for ``patience`` of them."""
        plateau = Plateau(self.schedule.patience)
        for epoch in range(self.schedule.epochs):
            loss = self._epoch(epoch)
            after_epoch()
            if self.schedule.patience is not None and plateau.reached(loss.item()):
                break
        return self.flow

    def _epoch(self, epoch: int) -> Tensor:
        """Every position once, in fibres; a remainder that fills no fibre waits for the next epoch's order."""
        size = min(self.schedule.fiber_batch_size, len(self.features))
        steps = len(self.features) // size
        order = torch.randperm(len(self.features), generator=self.generator)[: steps * size]
        order = order.to(self.features.device)
        columns, rows = self.codes.locate(order)
        total = self.features.new_zeros(())
        fibres = zip(order.split(size), columns.split(size), rows.split(size), strict=True)
        for step, fibre in enumerate(fibres):
            self.adam.learning_rate = self.schedule.rate((epoch + step / steps) / self.schedule.epochs)
            total += self._step(*fibre)
        return total / steps

    def _step(self, positions: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
        """One Adam step; the loss before it."""
        fibre = self.features.index_select(0, positions)
        loss = flow_gradients(self.flow, fibre, self.codes, columns, rows, self.gradients)
        self.flow.weights.flat.grad = self.gradients.flat  # FusedAdam forgets it
        self.adam.step()
        self.flow.refresh()
        return loss


def flow_gradients(
    flow: ConditionalFlow, features: Tensor, codes: PositionCodes, columns: Tensor, rows: Tensor, into: Parameters
) -> Tensor:
    """Loss of a fibre, the mean of -log sigmoid(log-likelihood per channel); its gradients are written to ``into``.

    Args:
        features: ``[N, channels]``; columns, rows: where they are on the grid, each ``[N]``.

    Source: the sigmoid is the public code's, not the paper's; equation 6 of the paper is the likelihood alone.
    """
    table = codes.project(flow.weights.condition, flow.weights.condition_bias).to(flow.dtype)
    conditioned = codes.gather(table, columns, rows)
    latents, log_determinants, tapes = flow.forward(features, conditioned)
    likelihood = log_likelihood(latents, log_determinants)
    pull = (torch.sigmoid(-likelihood) / -features.numel())[:, None]
    flow.backward(tapes, -pull * latents, pull, into)
    codes.backward(conditioned.to(features.dtype), columns, rows, into.condition, into.condition_bias)
    return -logsigmoid(likelihood).mean()
