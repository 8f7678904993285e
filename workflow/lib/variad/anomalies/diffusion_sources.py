"""Anomalies that a diffusion model makes, of all runs: two normal images mixed, or one moved towards a text.

Sources: the second document, section 4.1, and Jeong et al., Training-free Content Injection using h-space in Diffusion
Models (DiffStyle, WACV 2024), for ``style_mix``; the second document, appendix A.2, equation 3 (``h + alpha * delta_h``
in the predicted image alone), for ``text_edit``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from variad.anomalies.anomaly_file import Anomaly, NamedImages, Strengths
from variad.anomalies.ddim import ScaledDirection, StyleMix, generate, record_h, timesteps
from variad.anomalies.direction import Direction, at_all_times, read_directions
from variad.anomalies.inversions import BATCH_SIZE, Inversions, from_model, read_inversions, resize_all
from variad.core.errors import UserError
from variad.core.images import Images
from variad.datasets.sampling import Support, control_image_ids
from variad.networks.diffusion_models import DiffusionModel

Pair = tuple[str, str]  # image_ids of style and content
Made = tuple[dict[int, list[Anomaly]], Strengths]  # the anomalies by run, and a few of the first run by strength
SeedOf = Callable[[int], np.random.SeedSequence]  # of a run
SHOWN_STRENGTHS, SHOWN = (0.0, 0.25, 0.5, 0.75, 1.0), 2  # on the contact sheet: of mixes, and pairs or seeds


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
    if source["method"] == "style_mix":
        runs, strengths = _mixes(Mixer(model, known, source["batch_size"]), source, support, side, seed_of)
    else:
        if not directions:
            raise UserError("text_edit: expected the file of rule train_direction, found none.")
        editor = Editor(model, known, source["t_edit"], source["batch_size"])
        runs, strengths = _edits(editor, source, support, read_directions(directions), side, seed_of)
    names = control_image_ids(dict(support))
    return runs, NamedImages(names, resize_all(known.regenerated_of(names), side)), strengths


@dataclass(frozen=True)
class MixSettings:
    """How strongly and when to mix.

    Attributes:
        gamma: 0 is the style's own regeneration, 1 takes the content's bottleneck; 0.7 [2].
        t_edit: time steps from this one up are mixed; 400 [2].
        t_boost: time steps below this one are stochastic, for quality; 0 is none.
        omega: strength of the edit beyond ``gamma``; 1 is plain.
    """

    gamma: float = 0.7
    t_edit: int = 400
    t_boost: int = 0
    omega: float = 1.0


def _mixes(
    mixer: "Mixer", source: Mapping[str, Any], support: Mapping[int, Support], side: int, seed_of: SeedOf
) -> Made:
    """``count`` mixes of each run's seeds, and a few of the first run at every strength from 0 to 1."""
    settings = MixSettings(**{key: source[key] for key in ("gamma", "t_edit", "t_boost", "omega")})

    def mixed(pairs: Sequence[Pair], gamma: float, run: int) -> Images:
        generator = torch.Generator().manual_seed(int(seed_of(run).generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return resize_all(mixer.mix(pairs, replace(settings, gamma=gamma), generator), side)

    pairs = {
        run: choose_pairs(sets.styles, sets.contents, source["count"], np.random.default_rng(seed_of(run)))
        for run, sets in support.items()
    }
    parameters = {key: value for key, value in asdict(settings).items() if key != "gamma"}
    runs = {
        run: [
            Anomaly(image, style, content, settings.gamma, parameters)
            for image, (style, content) in zip(mixed(chosen, settings.gamma, run), chosen, strict=True)
        ]
        for run, chosen in pairs.items()
    }
    first = min(pairs)
    shown = pairs[first][:SHOWN]
    columns = [mixed(shown, gamma, first) for gamma in SHOWN_STRENGTHS]
    return runs, Strengths(np.stack(columns, axis=1), SHOWN_STRENGTHS, [" + ".join(pair) for pair in shown])


class Mixer:
    """Mixes pairs of one category; a content's bottlenecks are recorded when it is first needed, and kept."""

    def __init__(self, model: DiffusionModel, inversions: Inversions, batch_size: int = BATCH_SIZE) -> None:
        self.model, self.inversions, self.batch_size = model, inversions, batch_size
        self._recorded: dict[str, Tensor] = {}

    def mix(self, pairs: Sequence[Pair], settings: MixSettings, generator: torch.Generator) -> Images:
        """Mixed images at the model's resolution, uint8 ``[n, R, R, 3]``, grey where the style is.

        Args:
            pairs: (style, content) as image_ids.
            generator: of the noise that ``t_boost`` adds.
        """
        styles, contents = zip(*pairs, strict=True)
        noise, steps = self.inversions.noise_of(styles), self.inversions.steps
        edit = StyleMix(self._contents(contents), timesteps(self.model, steps), settings.gamma)
        images = generate(
            self.model, noise, steps, edit, settings.t_edit, self.batch_size,
            omega=settings.omega, t_boost=settings.t_boost, generator=generator,
        )  # fmt: skip
        return from_model(images, self.inversions.grey(styles))

    def _contents(self, names: Sequence[str]) -> Tensor:
        """Bottlenecks ``[steps, n, C, h, w]`` of contents."""
        new = sorted(set(names) - self._recorded.keys())
        if new:
            recorded = record_h(self.model, self.inversions.noise_of(new), self.inversions.steps, self.batch_size)
            self._recorded |= dict(zip(new, recorded.unbind(1), strict=True))
        return torch.stack([self._recorded[name] for name in names], dim=1)


def choose_pairs(
    styles: Sequence[str], contents: Sequence[str], count: int, generator: np.random.Generator
) -> list[Pair]:
    """``count`` different (style, content) of the full cross product, in random order.

    Source: the second document, section 4.1; half of the support set are styles, half contents [assumed].

    Raises:
        UserError: the cross product has fewer.
    """
    pairs = list(product(styles, contents))
    if count > len(pairs):
        found = f"{len(styles)} styles x {len(contents)} contents = {len(pairs)} pairs of this run's seeds"
        raise UserError(f"config key count: expected at least {count} pairs, found {found}.")
    return [pairs[int(place)] for place in generator.permutation(len(pairs))[:count]]


@dataclass(frozen=True)
class Edit:
    """One anomaly to be made: a seed, the text that its direction was learned with, and the strength."""

    seed: str
    text: str
    alpha: float


def _edits(
    editor: "Editor",
    source: Mapping[str, Any],
    support: Mapping[int, Support],
    directions: Mapping[int, Mapping[str, Direction]],
    side: int,
    seed_of: SeedOf,
) -> Made:
    """``count`` edits of each run's seeds, and the first seeds of the first run at strength 0 and all of the source's.

    Args:
        directions: by run and text.
    """
    strengths, plans, runs = source["strengths"], {}, {}
    for run, sets in support.items():
        generator = np.random.default_rng(seed_of(run))
        plans[run] = plan_edits(sets.seeds, list(directions[run]), strengths, source["count"], generator)
    for run, plan in plans.items():
        images = resize_all(editor.edit(plan, directions[run]), side)
        runs[run] = [
            Anomaly(image, edit.seed, strength=edit.alpha, parameters={"text": edit.text, "t_edit": editor.t_edit})
            for image, edit in zip(images, plan, strict=True)
        ]
    first = min(plans)
    chosen = list(dict.fromkeys((edit.seed, edit.text) for edit in plans[first]))[:SHOWN]
    shown = sorted({0.0, *strengths})
    grid = [Edit(seed, text, alpha) for seed, text in chosen for alpha in shown]
    images = resize_all(editor.edit(grid, directions[first]), side).reshape(len(chosen), len(shown), side, side, 3)
    return runs, Strengths(images, shown, [f"{seed}, “{text}”" for seed, text in chosen])


def plan_edits(
    seeds: Sequence[str], texts: Sequence[str], strengths: Sequence[float], count: int, generator: np.random.Generator
) -> list[Edit]:
    """``count`` edits: pairs of seed and text in random order, each at all strengths before the next.

    Raises:
        UserError: there are fewer.
    """
    pairs = list(product(seeds, texts))
    possible = len(pairs) * len(strengths)
    if count > possible:
        found = f"{len(seeds)} seeds x {len(texts)} texts x {len(strengths)} strengths = {possible}"
        raise UserError(f"config key count: expected at least {count} edits of a run, found {found}.")
    order = [pairs[int(place)] for place in generator.permutation(len(pairs))]
    return [Edit(seed, text, alpha) for seed, text in order for alpha in strengths][:count]


class Editor:
    """Edits images of one category."""

    def __init__(
        self, model: DiffusionModel, inversions: Inversions, t_edit: int = 400, batch_size: int = BATCH_SIZE
    ) -> None:
        self.model, self.inversions, self.t_edit, self.batch_size = model, inversions, t_edit, batch_size

    def edit(self, edits: Sequence[Edit], directions: Mapping[str, Direction]) -> Images:
        """Edited images at the model's resolution, uint8 ``[n, R, R, 3]``, grey where the seed is.

        Args:
            directions: by text.
        """
        steps, resolution = self.inversions.steps, self.model.resolution
        times = timesteps(self.model, steps)
        found = np.empty((len(edits), resolution, resolution, 3), np.uint8)
        for text in dict.fromkeys(edit.text for edit in edits):
            rows = [row for row, edit in enumerate(edits) if edit.text == text]
            names, alpha = [edits[row].seed for row in rows], torch.tensor([edits[row].alpha for row in rows])
            change = ScaledDirection(at_all_times(directions[text], times), alpha, times)
            noise = self.inversions.noise_of(names)
            images = generate(self.model, noise, steps, change, self.t_edit, self.batch_size)
            found[rows] = from_model(images, self.inversions.grey(names))
        return found
