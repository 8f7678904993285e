"""Where the unedited generation of images passes: what a direction is learned at."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from variad.diffusion.ddim import move, predicted_image, timesteps
from variad.diffusion.model import DiffusionModel


@dataclass(frozen=True)
class Waypoint:
    """One time step of a generation.

    Attributes:
        t: the time step.
        x: noisy images ``[B, 3, R, R]``.
        predicted: the images that the model sees in them, ``[B, 3, R, R]``, about [-1, 1].
    """

    t: int
    x: Tensor
    predicted: Tensor


def learning_times(times: Sequence[int], t_edit: int, count: int) -> list[int]:
    """At most ``count`` of the time steps of ``t_edit`` and above, evenly spread, noisiest first."""
    edited = [t for t in times if t >= t_edit]
    places = torch.linspace(0, len(edited) - 1, min(count, len(edited))).round().long()
    return [edited[place] for place in places.tolist()]


@torch.no_grad()
def waypoints(
    model: DiffusionModel,
    x_T: Tensor,
    steps: int,
    at: Sequence[int],
    batch_size: int,
) -> list[Waypoint]:
    """The unedited generation from ``x_T`` ``[B, 3, R, R]`` at the time steps ``at``, noisiest first, on the CPU.

    Args:
        steps: DDIM steps of the whole generation; ``at`` are among its time steps.
    """
    falling = timesteps(model, steps)
    passed = falling[: falling.index(min(at)) + 1]
    seen: dict[int, list[tuple[Tensor, Tensor]]] = {t: [] for t in at}
    for x in x_T.float().split(batch_size):
        x = x.to(model.device)
        for place, t in enumerate(passed):
            epsilon = model.epsilon(x, t)
            if t in seen:
                seen[t].append((x.cpu(), predicted_image(model, x, epsilon, t).cpu()))
            if place + 1 < len(passed):
                x = move(model, x, epsilon, t, passed[place + 1])
    return [Waypoint(t, *(torch.cat(part) for part in zip(*seen[t], strict=True))) for t in at]
