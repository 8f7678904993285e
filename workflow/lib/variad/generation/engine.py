"""The generator: shots in, varied images out, many in one batch (first document, figure 2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from variad.encoders.base import ImageTextEncoder
from variad.features import to_tensor
from variad.generation.acceptance import accepted, distance_to_view
from variad.generation.guidance import GuidanceSettings, decode, guide, split_colour
from variad.generation.latent import SPREADS, perturb_latent
from variad.generation.strategies import strategy
from variad.models.vqgan import VQGAN
from variad.records import Images

SIGMA_VIEWS = 4  # augmented views that the spread of one image is taken from [assumed]
WATCHED = 6  # images whose steps are kept for the contact sheet
WATCHED_STEPS = 5


@dataclass(frozen=True)
class GenerationSettings:
    """A recipe of method ``generate``; names and meanings are those of the config.

    ``guidance`` of zero or no iterations leave the text out.
    """

    view: str
    form: str
    sigma: str
    noise_scale: float
    iterations: int
    learning_rate: float
    anchor: float
    guidance: float
    cutouts: int
    precision: str
    output: str
    min_similarity_gain: float | None
    max_distance: float | None
    batch_size: int

    @property
    def guided(self) -> bool:
        """Whether a text has any influence."""
        return self.guidance > 0 and self.iterations > 0


@dataclass(frozen=True)
class Generated:
    """M generated images and what is known of them; see ``AddedImages`` for the fields' meaning."""

    images: Images
    similarity: NDArray[np.float32]
    distance: NDArray[np.float32]
    accepted: NDArray[np.bool_]
    trace: dict[str, NDArray[np.float32]]
    steps: Images | None
    steps_iteration: NDArray[np.int64]


def generate(
    parents: Images,
    seeds: Sequence[int],
    settings: GenerationSettings,
    vqgan: VQGAN,
    encoder: ImageTextEncoder | None = None,
    texts: Tensor | None = None,
    device: str = "cpu",
    luminance_only: bool = False,
) -> Generated:
    """Make one image of every parent given.

    Args:
        parents: uint8 RGB ``[M, S, S, 3]``; repeat a shot to get several images of it.
        seeds: one an image; an image depends on its parent, seed and settings, not on its batch.
        encoder, texts: for guided settings, and unit text embeddings ``[M, D]``.
        luminance_only: the VQGAN knows brightness alone, so that an image takes its colour from the parent's view.
    """
    vqgan.to(device).to(memory_format=torch.channels_last)
    parts = []
    with tqdm(total=len(parents), desc="generation", unit="image", mininterval=5, disable=None) as progress:
        for start in range(0, len(parents), settings.batch_size):
            rows = slice(start, start + settings.batch_size)
            watched = max(0, min(WATCHED - start, settings.batch_size, len(parents) - start))
            batch = _Batch(to_tensor(parents[rows]).to(device), seeds[rows], settings, vqgan, luminance_only)
            parts.append(batch.run(encoder, None if texts is None else texts[rows].to(device), watched))
            progress.update(len(parents[rows]))
    return _join(parts, settings)


class _Batch:
    """One batch on its way through the generator."""

    def __init__(
        self,
        images: Tensor,
        seeds: Sequence[int],
        settings: GenerationSettings,
        vqgan: VQGAN,
        luminance_only: bool,
    ) -> None:
        self.settings, self.vqgan, self.seeds, self.luminance_only = settings, vqgan, seeds, luminance_only
        self.chroma: Tensor | None = None
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self.images = images
        self.frames: dict[int, Tensor] = {}

    def run(self, encoder: ImageTextEncoder | None, texts: Tensor | None, watched: int) -> Generated:
        with torch.no_grad():
            views = strategy(self.settings.view)(self.images, self.generators)
            self.chroma = split_colour(views)[1] if self.luminance_only else None
            mean = self.vqgan.encode(views * 2 - 1)
            latent = self._perturb(mean)
        trace: dict[str, NDArray[np.float32]] = {}
        if self.settings.guided and encoder is not None and texts is not None:
            latent, trace = self._guide(latent, encoder, texts, watched)
        with torch.no_grad():
            result = self._finish(latent, mean, views)
        return self._record(result, views, encoder, texts, trace, watched)

    def _perturb(self, mean: Tensor) -> Tensor:
        settings = self.settings
        noise = torch.stack([torch.randn(mean.shape[1:], generator=generator) for generator in self.generators])
        if settings.form == "mu" or settings.noise_scale == 0:
            return mean
        spread = torch.stack([self._spread(image, seed) for image, seed in zip(self.images, self.seeds, strict=True)])
        return perturb_latent(mean, spread, noise.to(mean), settings.form, settings.noise_scale)

    def _spread(self, image: Tensor, seed: int) -> Tensor:
        generators = [torch.Generator().manual_seed(int(seed) + offset + 1) for offset in range(SIGMA_VIEWS)]
        views = strategy(self.settings.view)(image.expand(SIGMA_VIEWS, -1, -1, -1), generators)
        return SPREADS[self.settings.sigma](self.vqgan, views * 2 - 1)

    def _guide(
        self, latent: Tensor, encoder: ImageTextEncoder, texts: Tensor, watched: int
    ) -> tuple[Tensor, dict[str, NDArray[np.float32]]]:
        settings = self.settings
        wanted = _watched_iterations(settings.iterations)

        def watch(iteration: int, images: Tensor) -> None:
            if watched and iteration in wanted:
                self.frames[iteration] = images[:watched]

        steps = GuidanceSettings(
            settings.iterations,
            settings.learning_rate,
            settings.guidance,
            settings.anchor,
            settings.cutouts,
            settings.precision,
        )
        guided = guide(latent, texts, self.vqgan, encoder, steps, self.generators, watch, self.chroma)
        return guided.latent, {"loss": guided.loss.cpu().numpy(), "similarity": guided.similarity.cpu().numpy()}

    def _finish(self, latent: Tensor, mean: Tensor, views: Tensor) -> Tensor:
        decoded = decode(self.vqgan, latent, self.chroma)
        if self.settings.output == "decoded":
            return decoded
        # what reconstruction loses cancels out, so that the photograph's finest detail stays
        return (views + (decoded - decode(self.vqgan, mean, self.chroma))).clamp(0, 1)

    def _record(
        self,
        result: Tensor,
        views: Tensor,
        encoder: ImageTextEncoder | None,
        texts: Tensor | None,
        trace: dict[str, NDArray[np.float32]],
        watched: int,
    ) -> Generated:
        settings = self.settings
        distance = distance_to_view(result, views).cpu().numpy()
        similarity = np.full(len(result), np.nan, np.float32)
        gain = similarity
        if settings.guided and encoder is not None and texts is not None:
            with torch.no_grad():
                similarity, before = (
                    (encoder.encode_image(images) * texts).sum(dim=1).cpu().numpy() for images in (result, views)
                )
            gain = similarity - before
        passes = accepted(gain, distance, settings.min_similarity_gain, settings.max_distance)
        frames = [self.frames[iteration] for iteration in sorted(self.frames)]
        steps = to_uint8(torch.stack(frames, dim=1).flatten(0, 1)) if frames else None
        if steps is not None:
            steps = steps.reshape(watched, len(frames), *steps.shape[1:])
        return Generated(
            to_uint8(result), similarity, distance, passes, trace, steps, np.array(sorted(self.frames), np.int64)
        )


def to_uint8(images: Tensor) -> Images:
    """``[B, 3, H, W]`` in [0, 1] to uint8 ``[B, H, W, 3]``, rounded."""
    rounded = (images * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).cpu().numpy())


def _watched_iterations(iterations: int) -> set[int]:
    return {int(step) for step in np.linspace(0, iterations, WATCHED_STEPS).round()}


def _join(parts: Sequence[Generated], settings: GenerationSettings) -> Generated:
    with_steps = [part for part in parts if part.steps is not None]
    names = ("loss", "similarity") if settings.guided else ()
    return Generated(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.similarity for part in parts]),
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.accepted for part in parts]),
        {name: np.concatenate([part.trace[name] for part in parts]) for name in names},
        np.concatenate([part.steps for part in with_steps if part.steps is not None]) if with_steps else None,
        with_steps[0].steps_iteration if with_steps else np.empty(0, np.int64),
    )
