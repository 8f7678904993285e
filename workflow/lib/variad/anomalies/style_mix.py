"""Which style goes with which content."""

from collections.abc import Sequence
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


# Anomalies by mixing the bottlenecks of two normal images (DiffStyle in h-space).
#
# Source: the second document, section 4.1; Jeong et al., Training-free Content Injection using h-space in Diffusion
# Models (WACV 2024).

Pair = tuple[str, str]
SHOWN_STRENGTHS, SHOWN_PAIRS = (0.0, 0.25, 0.5, 0.75, 1.0), 2


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
        styles = [style for style, _ in pairs]
        steps = self.inversions.steps
        edit = StyleMix(self._contents([content for _, content in pairs]), self._times, settings.gamma)
        images = generate(
            self.model, self.inversions.noise_of(styles), steps, edit, settings.t_edit, self.batch_size,
            omega=settings.omega, t_boost=settings.t_boost, generator=generator,
        )  # fmt: skip
        return from_model(images, self.inversions.grey(styles))

    @property
    def _times(self) -> list[int]:
        return timesteps(self.model, self.inversions.steps)

    def _contents(self, names: Sequence[str]) -> Tensor:
        """Bottlenecks ``[steps, n, C, h, w]`` of contents."""
        new = sorted(set(names) - self._recorded.keys())
        if new:
            recorded = record_h(self.model, self.inversions.noise_of(new), self.inversions.steps, self.batch_size)
            self._recorded |= dict(zip(new, recorded.unbind(1), strict=True))
        return torch.stack([self._recorded[name] for name in names], dim=1)


def mixes_of_run(
    mixer: Mixer, support: Support, settings: MixSettings, count: int, side: int, seed: np.random.SeedSequence
) -> list[Anomaly]:
    """``count`` mixes of a run's seeds at ``side`` pixels.

    Raises:
        UserError: styles times contents are fewer.
    """
    pairs = choose_pairs(support.styles, support.contents, count, np.random.default_rng(seed))
    images = resize_all(mixer.mix(pairs, settings, _torch_generator(seed)), side)
    parameters = {key: value for key, value in asdict(settings).items() if key != "gamma"}
    return [
        Anomaly(image, style, content, settings.gamma, parameters)
        for image, (style, content) in zip(images, pairs, strict=True)
    ]


def mixes_of_growing_strength(
    mixer: Mixer, anomalies: Sequence[Anomaly], settings: MixSettings, side: int, seed: np.random.SeedSequence
) -> Strengths:
    """The first pairs of a run at every strength from 0 to 1."""
    pairs = [(anomaly.parent_a, anomaly.parent_b) for anomaly in anomalies[:SHOWN_PAIRS]]
    columns = [
        resize_all(mixer.mix(pairs, replace(settings, gamma=gamma), _torch_generator(seed)), side)
        for gamma in SHOWN_STRENGTHS
    ]
    return Strengths(np.stack(columns, axis=1), SHOWN_STRENGTHS, [" + ".join(pair) for pair in pairs])


def _torch_generator(seed: np.random.SeedSequence) -> torch.Generator:
    return torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> np.uint64(1)))
