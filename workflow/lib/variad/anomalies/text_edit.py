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

SHOWN_SEEDS = 2


@dataclass(frozen=True)
class Edit:
    """One anomaly to be made: a seed, the text that its direction was learned with, and the strength."""

    seed: str
    text: str
    alpha: float


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


def texts_of_run(texts: Sequence[str], run: int, count: int) -> list[str]:
    """``count`` texts, the runs taking turns through the list."""
    return list(dict.fromkeys(texts[(run * count + place) % len(texts)] for place in range(count)))


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
        resolution = self.model.resolution
        images = np.empty((len(edits), resolution, resolution, 3), np.uint8)
        for text in dict.fromkeys(edit.text for edit in edits):
            rows = [row for row, edit in enumerate(edits) if edit.text == text]
            images[rows] = self._towards([edits[row] for row in rows], directions[text])
        return images

    def _towards(self, edits: Sequence[Edit], direction: Direction) -> Images:
        names = [edit.seed for edit in edits]
        times = timesteps(self.model, self.inversions.steps)
        alpha = torch.tensor([edit.alpha for edit in edits])
        change = ScaledDirection(at_all_times(direction, times), alpha, times)
        noise = self.inversions.noise_of(names)
        images = generate(self.model, noise, self.inversions.steps, change, self.t_edit, self.batch_size)
        return from_model(images, self.inversions.grey(names))


def edits_of_run(
    editor: Editor, edits: Sequence[Edit], directions: Mapping[str, Direction], side: int
) -> list[Anomaly]:
    """The edits of a run as anomalies of ``side`` pixels."""
    images = resize_all(editor.edit(edits, directions), side)
    return [
        Anomaly(image, edit.seed, strength=edit.alpha, parameters={"text": edit.text, "t_edit": editor.t_edit})
        for image, edit in zip(images, edits, strict=True)
    ]


def edits_of_growing_strength(
    editor: Editor, edits: Sequence[Edit], directions: Mapping[str, Direction], side: int, strengths: Sequence[float]
) -> Strengths:
    """The first seeds of a run at strength 0 and all of ``strengths``, ascending."""
    chosen = list(dict.fromkeys((edit.seed, edit.text) for edit in edits))[:SHOWN_SEEDS]
    shown = sorted({0.0, *strengths})
    grid = [Edit(seed, text, alpha) for seed, text in chosen for alpha in shown]
    images = resize_all(editor.edit(grid, directions), side)
    labels = [f"{seed}, “{text}”" for seed, text in chosen]
    return Strengths(images.reshape(len(chosen), len(shown), *images.shape[1:]), shown, labels)
