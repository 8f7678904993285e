"""Anomalies by moving the bottleneck towards a text, with a known strength.

Source: the second document, appendix A.2, equation 3: ``h + alpha * delta_h`` in the predicted image alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from variad.anomalies.anomaly_file import Anomaly, Strengths
from variad.anomalies.ddim import ScaledDirection, generate, timesteps
from variad.anomalies.direction import Direction, at_all_times
from variad.anomalies.inversions import BATCH_SIZE, Inversions, from_model, resize_all
from variad.core.errors import UserError
from variad.core.images import Images
from variad.networks.diffusion_models import DiffusionModel

SHOWN_SEEDS = 2  # on the contact sheet


@dataclass(frozen=True)
class Edit:
    """One anomaly to be made: a seed, the text that its direction was learned with, and the strength."""

    seed: str
    text: str
    alpha: float


def make_edits(
    editor: "Editor",
    plans: Mapping[int, Sequence[Edit]],
    directions: Mapping[int, Mapping[str, Direction]],
    strengths: Sequence[float],
    side: int,
) -> tuple[dict[int, list[Anomaly]], Strengths]:
    """The edits of each run at ``side`` pixels, and the first seeds of the first run at strength 0 and ``strengths``.

    Args:
        plans, directions: by run.
    """
    runs = {
        run: [
            Anomaly(image, edit.seed, strength=edit.alpha, parameters={"text": edit.text, "t_edit": editor.t_edit})
            for image, edit in zip(resize_all(editor.edit(plan, directions[run]), side), plan, strict=True)
        ]
        for run, plan in plans.items()
    }
    first = min(plans)
    chosen = list(dict.fromkeys((edit.seed, edit.text) for edit in plans[first]))[:SHOWN_SEEDS]
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
