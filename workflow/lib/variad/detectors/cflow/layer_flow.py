"""The flow of one layer: trained on that layer's feature maps, it gives the likelihood of every position of others."""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from variad.detectors.cflow.coupling import ConditionalFlow, FlowShape, Parameters, log_likelihood
from variad.detectors.cflow.position_codes import PositionCodes
from variad.detectors.cflow.training import FlowTraining, Schedule

# positions computed at once: few enough for the cache, and the same for every image whatever else is scored with it
_POSITIONS = 256


class LayerFlow:
    """A trained flow on a fixed grid of positions.

    Attributes:
        peak: largest log-likelihood per channel of a training position, a scalar float64; it makes likelihoods of
            different layers comparable.
    """

    def __init__(self, flow: ConditionalFlow, codes: PositionCodes, peak: Tensor) -> None:
        self.flow, self.codes, self.peak = flow, codes, peak

    @classmethod
    def train(
        cls,
        maps: Tensor,
        shape: FlowShape,
        schedule: Schedule,
        generator: torch.Generator,
        after_epoch: Callable[[], object],
    ) -> Self:
        """Maximum likelihood on feature maps ``[N, h, w, C]``."""
        codes = PositionCodes(maps.shape[1], maps.shape[2], shape.condition, maps.device)
        trained = FlowTraining(maps.flatten(0, 2), codes, shape, schedule, generator).run(after_epoch)
        flow = ConditionalFlow(shape, trained.weights, trained.permutations)
        found = cls(flow, codes, torch.zeros((), dtype=torch.float64))
        found.peak = found.log_likelihood(maps).max().double()
        return found

    def log_likelihood(self, maps: Tensor) -> Tensor:
        """Log-likelihood per channel of every position of feature maps ``[N, h, w, C]``: ``[N, h, w]``."""
        weights = self.flow.weights
        conditioned = self.codes.project_all(weights.condition, weights.condition_bias).split(_POSITIONS)
        values = [
            log_likelihood(*self.flow.forward(features, part.clone())[:2])
            for image in maps.flatten(1, 2)
            for features, part in zip(image.split(_POSITIONS), conditioned, strict=True)
        ]
        return torch.cat(values).view(maps.shape[:3])

    def relative_log_likelihood(self, maps: Tensor) -> Tensor:
        """Log-likelihood per channel less that of the likeliest training position, float64 ``[N, h, w]``."""
        return self.log_likelihood(maps).double() - self.peak

    def tensors(self) -> dict[str, Tensor]:
        """What a file has to hold besides the shapes."""
        return {"weights": self.flow.weights.flat, "permutations": self.flow.permutations, "peak": self.peak}

    @classmethod
    def restore(cls, tensors: dict[str, Tensor], grid: tuple[int, int], shape: FlowShape) -> Self:
        """A trained flow from what ``tensors`` gave; ``grid`` is height and width of its layer."""
        flow = ConditionalFlow(shape, Parameters(shape, tensors["weights"]), tensors["permutations"])
        return cls(flow, PositionCodes(grid[0], grid[1], shape.condition, tensors["weights"].device), tensors["peak"])
