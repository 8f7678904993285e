"""Anomalies that a diffusion model makes, of all runs, and the directions that they need."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from variad.anomalies.anomaly_file import Anomaly, NamedImages, Strengths
from variad.anomalies.ddim import timesteps
from variad.anomalies.direction import (
    Direction,
    DirectionSettings,
    Texts,
    learn_direction,
    learning_times,
    read_directions,
    waypoints,
)
from variad.anomalies.inversions import Inversions, read_inversions, resize_all
from variad.anomalies.style_mix import Mixer, MixSettings, SeedOf, make_mixes
from variad.anomalies.text_edit import Editor, make_edits, plan_edits, texts_of_run
from variad.core.errors import UserError
from variad.datasets.sampling import Support, control_image_ids
from variad.networks.diffusion_models import DiffusionModel
from variad.networks.encoders import ImageTextEncoder


def make_with_diffusion(
    source: Mapping[str, Any],
    support: Mapping[int, Support],
    model: DiffusionModel,
    inversions: str | Path,
    directions: str | Path | None,
    side: int,
    seed_of: SeedOf,
) -> tuple[dict[int, list[Anomaly]], NamedImages, Strengths]:
    """A source's anomalies at ``side`` pixels, the normals to compare them with, and rows of growing strength.

    Args:
        source: keys of ``anomaly_sources.<name>``.
        inversions: file of ``write_inversions``.
        directions: file of ``write_directions``, for ``text_edit``.
        seed_of: the seed sequence of a run.

    Raises:
        UserError: a run has too few seeds for ``count``, or the inversions had other steps.
    """
    known = read_inversions(inversions)
    if known.steps != source["steps"]:
        raise UserError(f"{inversions}: expected {source['steps']} steps, found {known.steps}.")
    count, batch_size = source["count"], source["batch_size"]
    if source["method"] == "style_mix":
        mixing = MixSettings(**{key: source[key] for key in ("gamma", "t_edit", "t_boost", "omega")})
        runs, strengths = make_mixes(Mixer(model, known, batch_size), support, mixing, count, side, seed_of)
    else:
        if not directions:
            raise UserError("text_edit: expected the file of rule train_direction, found none.")
        learned, degrees = read_directions(directions), source["strengths"]
        plans = {
            run: plan_edits(sets.seeds, list(learned[run]), degrees, count, np.random.default_rng(seed_of(run)))
            for run, sets in support.items()
        }
        editor = Editor(model, known, source["t_edit"], batch_size)
        runs, strengths = make_edits(editor, plans, learned, degrees, side)
    names = control_image_ids(dict(support))
    return runs, NamedImages(names, resize_all(known.regenerated_of(names), side)), strengths


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
            text: learn_direction(model, encoder, points, Texts(target, described), settings, generator_of(run, text))
            for text, target in zip(texts, embedded, strict=True)
        }
    return learned
