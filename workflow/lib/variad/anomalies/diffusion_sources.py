"""Anomalies that a diffusion model makes, of all runs, and the directions that they need."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from variad.anomalies.anomaly_file import Anomaly, NamedImages, Strengths
from variad.anomalies.ddim import timesteps
from variad.anomalies.direction import (
    DIRECTIONAL,
    Direction,
    DirectionSettings,
    Texts,
    learn_direction,
    learning_times,
    read_directions,
    waypoints,
)
from variad.anomalies.inversions import Inversions, read_inversions, resize_all
from variad.anomalies.style_mix import Mixer, MixSettings, mixes_of_growing_strength, mixes_of_run
from variad.anomalies.text_edit import Editor, edits_of_growing_strength, edits_of_run, plan_edits, texts_of_run
from variad.core.errors import UserError
from variad.datasets.sampling import Support, control_image_ids
from variad.networks.diffusion_models import DiffusionModel
from variad.networks.encoders import ImageTextEncoder

SeedOf = Callable[[int], np.random.SeedSequence]
Runs = dict[int, list[Anomaly]]
SupportSets = Mapping[int, Support]


def make_with_diffusion(
    source: Mapping[str, Any],
    support: SupportSets,
    model: DiffusionModel,
    inversions: str | Path,
    directions: str | Path | None,
    side: int,
    seed_of: SeedOf,
) -> tuple[Runs, NamedImages, Strengths]:
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
    if source["method"] == "style_mix":
        runs, strengths = _mix(source, support, Mixer(model, known, source["batch_size"]), side, seed_of)
    else:
        if not directions:
            raise UserError("text_edit: expected the file of rule train_direction, found none.")
        editor = Editor(model, known, source["t_edit"], source["batch_size"])
        runs, strengths = _edit(source, support, editor, read_directions(directions), side, seed_of)
    names = control_image_ids(dict(support))
    return runs, NamedImages(names, resize_all(known.regenerated_of(names), side)), strengths


def _mix(
    source: Mapping[str, Any], support: SupportSets, mixer: Mixer, side: int, seed_of: SeedOf
) -> tuple[Runs, Strengths]:
    settings = MixSettings(**{key: source[key] for key in ("gamma", "t_edit", "t_boost", "omega")})
    runs = {
        run: mixes_of_run(mixer, sets, settings, source["count"], side, seed_of(run)) for run, sets in support.items()
    }
    first = min(runs)
    return runs, mixes_of_growing_strength(mixer, runs[first], settings, side, seed_of(first))


def _edit(
    source: Mapping[str, Any],
    support: SupportSets,
    editor: Editor,
    directions: Mapping[int, Mapping[str, Direction]],
    side: int,
    seed_of: SeedOf,
) -> tuple[Runs, Strengths]:
    plans = {
        run: plan_edits(
            sets.seeds, list(directions[run]), source["strengths"], source["count"], np.random.default_rng(seed_of(run))
        )
        for run, sets in support.items()
    }
    runs = {run: edits_of_run(editor, plan, directions[run], side) for run, plan in plans.items()}
    first = min(runs)
    return runs, edits_of_growing_strength(editor, plans[first], directions[first], side, source["strengths"])


def learn_directions(
    source: Mapping[str, Any],
    support: SupportSets,
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
    described = encoder.encode_text([source_text])[0] if source["loss"] == DIRECTIONAL else None
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
