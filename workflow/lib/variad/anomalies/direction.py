"""Directions of a diffusion model's bottleneck that move a run's images towards a text: learned, and kept in a file.

Source: Kwon et al. (Asyrp, ICLR 2023), section 3.3: at time steps along the generation the image that the model
predicts with the edit is compared with the one that it predicts without, and the direction follows the gradient. Two
departures, both for speed: the time steps are a few of the generation's, and the noisy images are those of the
unedited generation, so that they are computed once. The direction is optimised itself, not a network that outputs
it, which is the lesser of Asyrp's two forms."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from variad.anomalies.ddim import ScaledDirection, predicted_image, recorder, timesteps, trajectory
from variad.anomalies.inversions import Inversions
from variad.core.errors import UserError
from variad.core.files import writing
from variad.datasets.sampling import Support
from variad.networks.diffusion_models import DiffusionModel
from variad.networks.encoders import ImageTextEncoder

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


def learn_directions(
    source: Mapping[str, Any],
    support: Mapping[int, Support],
    model: DiffusionModel,
    encoder: ImageTextEncoder,
    inversions: Inversions,
    source_text: str,
    generator_of: Callable[[int, str], torch.Generator],
) -> dict[int, dict[str, Direction]]:
    """Directions by run and text, each learned from that run's seeds alone.

    Args:
        source: keys of ``anomaly_sources.<name>``.
        source_text: what the images show, for ``loss: directional``.
        generator_of: the random generator of a run and text.
    """
    at = learning_times(timesteps(model, inversions.steps), source["t_edit"], source["learning_steps"])
    if not at:
        raise UserError(f"config key t_edit: expected a time step that is passed, found {source['t_edit']}.")
    settings = DirectionSettings(**{key: source[key] for key in ("iterations", "learning_rate", "keep", "per_step")})
    described = encoder.encode_text([source_text])[0] if source["loss"] == "directional" else None
    learned: dict[int, dict[str, Direction]] = {}
    for run, sets in support.items():
        points = waypoints(model, inversions.noise_of(sets.seeds), inversions.steps, at, source["batch_size"])
        texts = texts_of_run(source["texts"], run, source["texts_per_run"])
        embedded = encoder.encode_text(texts)
        learned[run] = {
            text: learn_direction(model, encoder, points, target, settings, generator_of(run, text), described)
            for text, target in zip(texts, embedded, strict=True)
        }
    return learned


def texts_of_run(texts: Sequence[str], run: int, count: int) -> list[str]:
    """``count`` texts, the runs taking turns through the list."""
    return list(dict.fromkeys(texts[(run * count + place) % len(texts)] for place in range(count)))


def learning_times(times: Sequence[int], t_edit: int, count: int) -> list[int]:
    """At most ``count`` of the time steps of ``t_edit`` and above, evenly spread, noisiest first."""
    edited = [t for t in times if t >= t_edit]
    places = torch.linspace(0, len(edited) - 1, min(count, len(edited))).round().long()
    return [edited[place] for place in places.tolist()]


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


@torch.no_grad()
def waypoints(model: DiffusionModel, x_T: Tensor, steps: int, at: Sequence[int], batch_size: int) -> list[Waypoint]:
    """The unedited generation from ``x_T`` ``[B, 3, R, R]`` at the time steps ``at``, noisiest first, on the CPU.

    Args:
        steps: DDIM steps of the whole generation; ``at`` are among its time steps.
    """
    seen: dict[int, list[tuple[Tensor, Tensor]]] = {t: [] for t in at}
    for noise in x_T.split(batch_size):
        for t, x, epsilon in trajectory(model, noise, steps):
            if t in seen:
                seen[t].append((x.cpu(), predicted_image(model, x, epsilon, t).cpu()))
            if t == min(at):
                break
    return [Waypoint(t, *(torch.cat(part) for part in zip(*seen[t], strict=True))) for t in at]


def learn_direction(
    model: DiffusionModel,
    encoder: ImageTextEncoder,
    points: Sequence[Waypoint],
    text: Tensor,
    settings: DirectionSettings,
    generator: torch.Generator,
    source_text: Tensor | None = None,
) -> Direction:
    """Learn one direction from the images of ``points``; the last iterate is kept.

    Args:
        points: of ``waypoints``.
        text, source_text: see ``directional_loss``.
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
        target = encoder.encode_image(_as_picture(moved))
        directional = directional_loss(target, sources[place], text, source_text).mean()
        change = (moved - points[place].predicted.to(moved)).abs().mean()
        optimiser.zero_grad()
        (directional + settings.keep * change).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(directional.item())
    return Direction((torch.stack(units).detach() * size).cpu(), [point.t for point in points], losses)


def _as_picture(images: Tensor) -> Tensor:
    return ((images + 1) / 2).clamp(0, 1)


def edited_prediction(model: DiffusionModel, point: Waypoint, delta_h: Tensor) -> Tensor:
    """The images ``[B, 3, R, R]`` that the model predicts at a waypoint with ``h + delta_h``; ``[C, h, w]``."""
    x = point.x.to(model.device)
    return predicted_image(model, x, model.epsilon(x, point.t, ScaledDirection(delta_h[None], 1.0)), point.t)


@torch.no_grad()
def bottleneck_size(model: DiffusionModel, point: Waypoint) -> tuple[float, tuple[int, ...]]:
    """Root mean square of the mid block's output at a waypoint, and its shape ``(C, h, w)``."""
    seen: list[Tensor] = []
    model.epsilon(point.x[:1].to(model.device), point.t, recorder(seen))
    return float(seen[0].square().mean().sqrt()), tuple(seen[0].shape[1:])


def directional_loss(target: Tensor, source: Tensor, text: Tensor, source_text: Tensor | None = None) -> Tensor:
    """``1 - cos(target - source, direction)``, one an image.

    Args:
        target, source: embeddings of the edited images and of the unedited ones, ``[B, D]``.
        text: embedding of the text to move towards, ``[D]``.
        source_text: embedding of a text that describes the unedited images, ``[D]``. With it the direction is
            ``text - source_text`` (L_dir of StyleGAN-NADA and Asyrp); without it ``text - source``, the second
            document's L' (its appendix A.2).

    Returns:
        ``[B]``, 0 to 2; 1 where the target is the source.
    """
    direction = text - (source if source_text is None else source_text)
    return 1 - functional.cosine_similarity(target - source, direction.expand_as(source), dim=-1)


def at_all_times(direction: Direction, times: Sequence[int]) -> Tensor:
    """The direction ``[len(times), C, h, w]`` of each time step: that of the nearest one it was learned at."""
    if len(direction.delta_h) == 1:
        return direction.delta_h.expand(len(times), -1, -1, -1)
    nearest = [min(range(len(direction.times)), key=lambda place: abs(direction.times[place] - t)) for t in times]
    return direction.delta_h[nearest]


def write_directions(path: str | Path, directions: Mapping[int, Mapping[str, Direction]]) -> None:
    """Write the directions of a category, by run and text: tensors ``{run}/{number}``, and in the metadata the rest."""
    about, tensors = {}, {}
    for run, of_run in directions.items():
        for number, (text, direction) in enumerate(of_run.items()):
            name = f"{run}/{number}"
            tensors[name] = direction.delta_h.contiguous()
            losses = [round(loss, 5) for loss in direction.losses]
            about[name] = {"run": run, "text": text, "times": direction.times, "losses": losses}
    with writing(path) as temporary:
        save_file(tensors, temporary, {"directions": json.dumps(about, sort_keys=True)})


def read_directions(path: str | Path) -> dict[int, dict[str, Direction]]:
    """Read a file of ``write_directions``.

    Raises:
        UserError: it holds something else.
    """
    directions: dict[int, dict[str, Direction]] = {}
    with safe_open(path, "pt") as file:
        about = (file.metadata() or {}).get("directions")
        if about is None:
            raise UserError(f"{path}: expected directions of rule train_direction, found another file.")
        for name, entry in json.loads(about).items():
            learned = Direction(file.get_tensor(name), entry["times"], entry["losses"])
            directions.setdefault(int(entry["run"]), {})[entry["text"]] = learned
    return directions
