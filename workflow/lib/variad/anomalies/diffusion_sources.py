"""Anomalies that a diffusion model makes, of all runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from variad.anomalies.anomaly_file import Anomaly, NamedImages, Strengths
from variad.anomalies.direction import read_directions
from variad.anomalies.inversions import read_inversions, resize_all
from variad.anomalies.style_mix import Mixer, MixSettings, SeedOf, make_mixes
from variad.anomalies.text_edit import Editor, make_edits, plan_edits
from variad.core.errors import UserError
from variad.datasets.sampling import Support, control_image_ids
from variad.networks.diffusion_models import DiffusionModel


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
