"""Learning a direction of the bottleneck that moves a run's images towards a text.

Source: Kwon et al. (Asyrp, ICLR 2023), section 3.3: at time steps along the generation the image that the model
predicts with the edit is compared with the one that it predicts without, and the direction follows the gradient. Two
departures, both for speed: the time steps are a few of the generation's, and the noisy images are those of the unedited
generation, so that they are computed once. The direction is optimised itself, not a network that outputs it, which is
the lesser of Asyrp's two forms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from variad.anomalies.directional_loss import directional_loss
from variad.anomalies.trajectory import Waypoint
from variad.diffusion.ddim import predicted_image
from variad.diffusion.h_space import ScaledDirection
from variad.diffusion.model import DiffusionModel
from variad.encoders.base import ImageTextEncoder

FIRST_SIZE = 0.01  # of the bottleneck's root mean square: at no edit at all the loss has no gradient


@dataclass(frozen=True)
class DirectionSettings:
    """How a direction is learned.

    Attributes:
        iterations: optimiser steps; each takes one time step and all images.
        learning_rate: of Adam, in units of the bottleneck's root mean square.
        keep: weight of the mean absolute difference to the unedited prediction (images in [-1, 1]).
        per_step: one direction for each time step, or one for all.
    """

    iterations: int = 25
    learning_rate: float = 0.02
    keep: float = 0.5
    per_step: bool = False


@dataclass(frozen=True)
class Texts:
    """Embeddings ``[D]``: of the text to move towards, and of one that describes the images, if the loss needs it."""

    target: Tensor
    source: Tensor | None = None


@dataclass(frozen=True)
class Direction:
    """What was learned.

    Attributes:
        delta_h: ``[K, C, h, w]``, K the time steps, or 1.
        times: the time steps.
        losses: of each iteration, the directional loss alone, mean over images.
    """

    delta_h: Tensor
    times: list[int]
    losses: list[float]


def learn_direction(
    model: DiffusionModel,
    encoder: ImageTextEncoder,
    points: Sequence[Waypoint],
    texts: Texts,
    settings: DirectionSettings,
    generator: torch.Generator,
) -> Direction:
    """Learn one direction from the images of ``points``; the last iterate is kept.

    Args:
        points: of ``variad.anomalies.trajectory.waypoints``.
        generator: draws the first direction, which is small.
    """
    count = len(points) if settings.per_step else 1
    size, shape = bottleneck_size(model, points[0])
    drawn = FIRST_SIZE * torch.randn((count, *shape), generator=generator)
    units = [unit.to(model.device).requires_grad_() for unit in drawn.unbind()]
    optimiser = torch.optim.Adam(units, lr=settings.learning_rate)  # leaves those alone that a step did not use
    with torch.no_grad():
        sources = [encoder.encode_image(_as_picture(point.predicted.to(model.device))) for point in points]
    losses = []
    for iteration in range(settings.iterations):
        place = iteration % len(points)
        moved = edited_prediction(model, points[place], units[place if settings.per_step else 0] * size)
        directional = directional_loss(encoder.encode_image(_as_picture(moved)), sources[place], *_both(texts)).mean()
        change = (moved - points[place].predicted.to(moved)).abs().mean()
        optimiser.zero_grad()
        (directional + settings.keep * change).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(directional.item())
    return Direction((torch.stack(units).detach() * size).cpu(), [point.t for point in points], losses)


def edited_prediction(model: DiffusionModel, point: Waypoint, delta_h: Tensor) -> Tensor:
    """The images ``[B, 3, R, R]`` that the model predicts at a waypoint with ``h + delta_h``; ``[C, h, w]``."""
    x = point.x.to(model.device)
    return predicted_image(model, x, model.epsilon(x, point.t, ScaledDirection(delta_h[None], 1.0)), point.t)


@torch.no_grad()
def bottleneck_size(model: DiffusionModel, point: Waypoint) -> tuple[float, tuple[int, ...]]:
    """Root mean square of the mid block's output at a waypoint, and its shape ``(C, h, w)``."""
    seen: list[Tensor] = []

    def record(h: Tensor, _t: int) -> Tensor:
        seen.append(h)
        return h

    model.epsilon(point.x[:1].to(model.device), point.t, record)
    return float(seen[0].square().mean().sqrt()), tuple(seen[0].shape[1:])


def at_all_times(direction: Direction, times: Sequence[int]) -> Tensor:
    """The direction ``[len(times), C, h, w]`` of each time step: that of the nearest one it was learned at."""
    if len(direction.delta_h) == 1:
        return direction.delta_h.expand(len(times), -1, -1, -1)
    nearest = [min(range(len(direction.times)), key=lambda place: abs(direction.times[place] - t)) for t in times]
    return direction.delta_h[nearest]


def _both(texts: Texts) -> tuple[Tensor, Tensor | None]:
    return texts.target, texts.source


def _as_picture(images: Tensor) -> Tensor:
    return ((images + 1) / 2).clamp(0, 1)
