"""Text guidance: gradient steps on the latent towards a prompt (first document, text-guided integrator)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from variad.encoders.base import ImageTextEncoder
from variad.generation.cutouts import cutouts
from variad.generation.latent import clamp_to_codebook
from variad.models.vqgan import VQGAN


@dataclass(frozen=True)
class GuidanceSettings:
    """How the latent is optimised.

    Attributes:
        iterations: steps (20 [1]); learning_rate: constant (0.05 [1]), Adam [assumed].
        weight: of the distance to the text; anchor: of the squared distance to the first latent [assumed].
        cutouts: crops an image and step [assumed].
        precision: ``float32``, or ``bfloat16`` for decoding within the steps; what is returned stays float32.
    """

    iterations: int
    learning_rate: float
    weight: float
    anchor: float
    cutouts: int
    precision: str = "float32"


@dataclass(frozen=True)
class Guided:
    """Latents ``[B, C, h, w]`` after the last step; loss and similarity of every step, ``[B, iterations + 1]``."""

    latent: Tensor
    loss: Tensor
    similarity: Tensor


def spherical_distance(images: Tensor, texts: Tensor) -> Tensor:
    """``2 asin(|u - t| / 2)^2`` between unit embeddings, over the last axis; half the squared angle between them."""
    half_chord = (images - texts).norm(dim=-1).div(2).clamp(max=1 - 1e-6)
    return 2 * half_chord.arcsin().square()


def guide(
    start: Tensor,
    texts: Tensor,
    vqgan: VQGAN,
    encoder: ImageTextEncoder,
    settings: GuidanceSettings,
    generators: Sequence[torch.Generator],
    watch: Callable[[int, Tensor], None] | None = None,
    chroma: Tensor | None = None,
) -> Guided:
    """Optimise a batch of latents towards their texts; images do not influence each other.

    Args:
        start: latents, ``[B, C, h, w]``.
        texts: unit text embeddings, ``[B, D]``.
        generators: one an image, for its cutouts.
        watch: called with the iteration and the decoded images ``[B, 3, H, W]`` in [0, 1], before every step and
            after the last one.
        chroma: see ``decode``.
    """
    latent = start.clone().requires_grad_()
    # Adam works element by element, so that a batch is as good as one image at a time
    optimiser = torch.optim.Adam([latent], lr=settings.learning_rate, foreach=True)
    history = []
    for iteration in tqdm(
        range(settings.iterations + 1), desc="guidance", unit="step", leave=False, mininterval=5, disable=None
    ):
        with torch.set_grad_enabled(iteration < settings.iterations):
            with torch.autocast(latent.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                images = decode(vqgan, latent, chroma)
            images = images.to(latent)
            distance, similarity = _to_text(images, texts, encoder, settings.cutouts, generators)
            pull = (latent - start).square().mean(dim=(1, 2, 3))
            loss = settings.weight * distance + settings.anchor * pull
        history.append((loss.detach(), similarity.detach()))
        if watch is not None:
            watch(iteration, images.detach())
        if iteration < settings.iterations:
            (latent.grad,) = torch.autograd.grad(loss.sum(), latent)
            optimiser.step()
            with torch.no_grad():
                latent.copy_(clamp_to_codebook(latent, vqgan.codebook))
    losses, similarities = zip(*history, strict=True)
    return Guided(latent.detach(), torch.stack(losses, dim=1), torch.stack(similarities, dim=1))


def decode(vqgan: VQGAN, latent: Tensor, chroma: Tensor | None = None) -> Tensor:
    """Quantise and decode latents to images ``[B, 3, H, W]`` in [0, 1]; gradients pass straight through.

    Args:
        chroma: for a model that knows brightness alone: the colour to add, see ``split_colour``.
    """
    quantised, _ = vqgan.quantise(latent)
    images = vqgan.decode(quantised).add(1).div(2)
    if chroma is not None:
        images = split_colour(images)[0] + chroma
    return images.clamp(0, 1)


def split_colour(images: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance ``[B, 1, H, W]`` (ITU-R BT.601) of images ``[B, 3, H, W]``, and what is missing to the image."""
    weights = torch.tensor([0.299, 0.587, 0.114]).to(images)[:, None, None]
    luminance = (images * weights).sum(dim=1, keepdim=True)
    return luminance, images - luminance


def _to_text(
    images: Tensor, texts: Tensor, encoder: ImageTextEncoder, count: int, generators: Sequence[torch.Generator]
) -> tuple[Tensor, Tensor]:
    """Mean distance and cosine over the cutouts of each image, ``[B]`` each."""
    crops = cutouts(images, count, encoder.resolution, generators)
    embeddings = encoder.encode_image(crops).view(len(images), count, -1)
    texts = texts[:, None]
    return spherical_distance(embeddings, texts).mean(dim=1), (embeddings * texts).sum(dim=-1).mean(dim=1)
