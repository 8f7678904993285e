"""Anomalies by mixing the bottlenecks of two normal images (DiffStyle in h-space).

Source: the second document, section 4.1; Jeong et al., Training-free Content Injection using h-space in Diffusion
Models (WACV 2024)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from variad.anomalies.anomaly_file import Anomaly, Strengths
from variad.anomalies.ddim import StyleMix, generate, record_h, timesteps
from variad.anomalies.inversions import BATCH_SIZE, Inversions, from_model, resize_all
from variad.core.errors import UserError
from variad.core.images import Images
from variad.datasets.sampling import Support
from variad.networks.diffusion_models import DiffusionModel

Pair = tuple[str, str]  # image_ids of style and content
SeedOf = Callable[[int], np.random.SeedSequence]  # of a run
SHOWN_STRENGTHS, SHOWN_PAIRS = (0.0, 0.25, 0.5, 0.75, 1.0), 2  # on the contact sheet


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


def make_mixes(
    mixer: "Mixer", support: Mapping[int, Support], settings: MixSettings, count: int, side: int, seed_of: SeedOf
) -> tuple[dict[int, list[Anomaly]], Strengths]:
    """``count`` mixes of each run's seeds at ``side`` pixels, and a few of the first run at every strength from 0 to 1.

    Raises:
        UserError: styles times contents are fewer in a run.
    """

    def mixed(pairs: Sequence[Pair], gamma: float, run: int) -> Images:
        generator = torch.Generator().manual_seed(int(seed_of(run).generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return resize_all(mixer.mix(pairs, replace(settings, gamma=gamma), generator), side)

    pairs = {
        run: choose_pairs(sets.styles, sets.contents, count, np.random.default_rng(seed_of(run)))
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
    shown = pairs[first][:SHOWN_PAIRS]
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
) -> list[tuple[str, str]]:
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
