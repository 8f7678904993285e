"""Text guidance: gradient steps on the latent towards a prompt (first document, text-guided integrator)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from tqdm import tqdm

from variad.encoders.base import ImageTextEncoder
from variad.fused_adam import FusedAdam
from variad.generation.cutouts import cutouts, draw_windows
from variad.generation.latent import clamp_to_codebook
from variad.generation.settings import GenerationSettings
from variad.models.vqgan import VQGAN
from variad.precision import autocast


@dataclass(frozen=True)
class Guide:
    """What B images are guided by: an encoder, and the unit embedding of each image's text, ``[B, D]``."""

    encoder: ImageTextEncoder
    texts: Tensor

    def rows(self, rows: slice) -> "Guide":
        """The guide of some of the images."""
        return Guide(self.encoder, self.texts[rows])


@dataclass(frozen=True)
class Guided:
    """Latents ``[B, C, h, w]`` after the last step and their images ``[B, 3, H, W]`` in [0, 1], decoded in float32
    whatever the steps' precision; loss and similarity of every step, ``[B, iterations + 1]``.
    """

    latent: Tensor
    images: Tensor
    loss: Tensor
    similarity: Tensor


@dataclass(frozen=True)
class Step:
    """One look at a batch: decoded images ``[B, 3, H, W]``, loss and similarity ``[B]``."""

    images: Tensor
    loss: Tensor
    similarity: Tensor


def spherical_distance(images: Tensor, texts: Tensor) -> Tensor:
    """``2 asin(|u - t| / 2)^2`` between unit embeddings, over the last axis; half the squared angle between them."""
    half_chord = (images - texts).norm(dim=-1).div(2).clamp(max=1 - 1e-6)
    return 2 * half_chord.arcsin().square()


def guide(
    start: Tensor,
    by: Guide,
    vqgan: VQGAN,
    settings: GenerationSettings,
    generators: Sequence[torch.Generator],
    watch: Callable[[int, Tensor], None] | None = None,
    grey: Tensor | None = None,
) -> Guided:
    """Optimise a batch of latents towards their texts with Adam; images do not influence each other.

    Args:
        start: latents, ``[B, C, h, w]``.
        generators: one an image, for its cutouts.
        watch: called with the iteration and the decoded images ``[B, 3, H, W]`` in [0, 1], before every step and
            after the last one.
        grey: see ``decode``.
    """
    latent = start.clone().requires_grad_()
    # Adam works element by element, so that a batch is as good as one image at a time
    optimiser = FusedAdam([latent], settings.learning_rate)
    windows = draw_windows(settings.cutouts, settings.iterations + 1, generators).to(latent)
    # the images after the last step are the ones that are kept
    last = replace(settings, precision="float32")
    history = []
    for iteration in tqdm(
        range(settings.iterations + 1), desc="guidance", unit="step", leave=False, mininterval=5, disable=None
    ):
        more = iteration < settings.iterations
        with torch.set_grad_enabled(more):
            step = look(latent, start, by, vqgan, settings if more else last, windows[iteration], grey)
        history.append((step.loss.detach(), step.similarity.detach()))
        if watch is not None:
            watch(iteration, step.images.detach())
        if more:
            (latent.grad,) = torch.autograd.grad(step.loss.sum(), latent)
            optimiser.step()
            with torch.no_grad():
                latent.copy_(clamp_to_codebook(latent, vqgan.codebook))
    losses, similarities = zip(*history, strict=True)
    return Guided(latent.detach(), step.images, torch.stack(losses, dim=1), torch.stack(similarities, dim=1))


def look(
    latent: Tensor,
    start: Tensor,
    by: Guide,
    vqgan: VQGAN,
    settings: GenerationSettings,
    windows: Tensor,
    grey: Tensor | None = None,
) -> Step:
    """Decode latents and compare them with their texts, as far as the loss.

    Args:
        latent, start: ``[B, C, h, w]``, now and at first.
        windows: of the cutouts, ``[B, count, 2, 3]``.
        grey: see ``decode``.
    """
    with autocast(settings.precision, latent.device):
        images = decode(vqgan, latent, grey).to(latent)
        embeddings = by.encoder.encode_image(cutouts(images, windows, by.encoder.resolution)).to(latent)
    distance, similarity = _to_text(embeddings.unflatten(0, windows.shape[:2]), by.texts[:, None])
    pull = (latent - start).square().mean(dim=(1, 2, 3))
    return Step(images, settings.guidance * distance + settings.anchor * pull, similarity)


def decode(vqgan: VQGAN, latent: Tensor, grey: Tensor | None = None) -> Tensor:
    """Quantise and decode latents to images ``[B, 3, H, W]`` in [0, 1]; gradients pass straight through.

    Args:
        grey: bool ``[B]``, the images that get their channels' mean in every channel: no camera without colour
            ever gives the tints that a codebook of coloured images does. All keep theirs if not given.
    """
    quantised, _ = vqgan.quantise(latent)
    images = vqgan.decode(quantised).add(1).div(2)
    if grey is not None:
        images = torch.where(grey[:, None, None, None], images.mean(dim=1, keepdim=True), images)
    return images.clamp(0, 1)


def _to_text(embeddings: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean distance and cosine over the cutouts of each image, ``[B]`` each, of ``[B, count, D]`` and ``[B, 1, D]``."""
    return spherical_distance(embeddings, texts).mean(dim=1), (embeddings * texts).sum(dim=-1).mean(dim=1)
