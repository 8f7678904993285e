"""A latent's beginning, and what is looked at on its way: the draw around an image, decoding, crops, and the distance.

The variance-aware latent is the mean, its spread and one draw around it (first document, table 16). A text guides by
random crops, so that it guides the whole image and its parts alike; ``steps.py`` takes the steps.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from variad.generation.strategies import strategy
from variad.networks.encoders import ImageTextEncoder
from variad.networks.vqgan import VQGAN

SMALLEST = 0.5  # part of the side that a cutout spans at least [assumed]
VIEWS = 4  # augmented views that the spread of one image is taken from [assumed]


def spread_of_codes(vqgan: VQGAN, views: Tensor) -> Tensor:
    """Per-channel standard deviation of the codebook vectors that the views of one image select, ``[C, 1, 1]``.

    Args:
        views: augmented views of one image, ``[V, 3, H, W]`` in [-1, 1].

    Source: [assumed]; with one shot a spread over images does not exist.
    """
    _, codes = vqgan.quantise(vqgan.encode(views))
    return vqgan.codebook[codes.flatten()].std(dim=0)[:, None, None]


def spread_of_views(vqgan: VQGAN, views: Tensor) -> Tensor:
    """Standard deviation of the latent over views, per position, ``[C, h, w]``.

    Source: [assumed], the alternative to ``spread_of_codes``.
    """
    return vqgan.encode(views).std(dim=0)


FORMS = {"codebook": spread_of_codes, "views": spread_of_views}


class Spreads:
    """The spread around each image's latent, ``codebook`` or ``views``, over the views that a strategy gives.

    It is computed once an image, however many are made of it.
    """

    def __init__(self, vqgan: VQGAN, view: str, form: str) -> None:
        self._vqgan, self._strategy, self._form = vqgan, strategy(view), FORMS[form]
        self._known: dict[bytes, Tensor] = {}

    def of(self, images: Tensor) -> Tensor:
        """Spreads of images ``[B, 3, H, W]`` in [0, 1]: ``[B, C, 1, 1]`` or ``[B, C, h, w]``."""
        return torch.stack([self._of_one(image) for image in images])

    def _of_one(self, image: Tensor) -> Tensor:
        key = hashlib.sha256(image.cpu().numpy().tobytes()).digest()
        if key not in self._known:
            # the same draws for every image: its spread must not depend on when it is asked for
            generators = [torch.Generator().manual_seed(place) for place in range(VIEWS)]
            views = self._strategy(image.expand(VIEWS, -1, -1, -1), generators)
            self._known[key] = self._form(self._vqgan, views * 2 - 1)
        return self._known[key]


def perturb_latent(mean: Tensor, spread: Tensor, noise: Tensor, form: str, scale: float) -> Tensor:
    """The latent of one of the published forms.

    Args:
        mean: pre-quantised latents, ``[B, C, h, w]``, codebook units.
        spread: their standard deviations, ``[B, C, 1, 1]`` or ``[B, C, h, w]``.
        noise: eps ~ N(0, 1), like ``mean``; read by the last form alone.
        form: ``mu``, ``mu_sigma`` or ``mu_sigma_epsilon``.
        scale: multiplies the spread; 0 gives plain reconstruction in every form.

    Source: first document, table 16, rows (b) to (d).
    """
    if form == "mu":
        return mean
    if form == "mu_sigma":
        return mean + scale * spread
    return mean + scale * spread * noise


def clamp_to_codebook(latent: Tensor, codebook: Tensor) -> Tensor:
    """Keep every channel within the range of the codebook's vectors, ``[B, C, h, w]``."""
    low, high = codebook.amin(dim=0)[:, None, None], codebook.amax(dim=0)[:, None, None]
    return latent.clamp(low, high)


@dataclass(frozen=True)
class Guide:
    """What B images are guided by: an encoder, and the unit embedding of each image's text, ``[B, D]``."""

    encoder: ImageTextEncoder
    texts: Tensor

    def rows(self, rows: slice) -> "Guide":
        """The guide of some of the images."""
        return replace(self, texts=self.texts[rows])


def spherical_distance(images: Tensor, texts: Tensor) -> Tensor:
    """``2 asin(|u - t| / 2)^2`` between unit embeddings, over the last axis; half the squared angle between them."""
    half_chord = (images - texts).norm(dim=-1).div(2).clamp(max=1 - 1e-6)
    return 2 * half_chord.arcsin().square()


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


def draw_windows(count: int, steps: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Where the cutouts of every step lie: affine matrices ``[steps, B, count, 2, 3]``; the first is the whole image.

    Drawn before the first step, since moving a few numbers to a GPU in every step would make it wait.

    Args:
        generators: one an image, so that an image's cutouts do not depend on its batch.
    """
    draws = torch.stack([torch.rand(steps, count, 3, generator=generator) for generator in generators], dim=1)
    scale = SMALLEST + (1 - SMALLEST) * draws[..., 0]
    scale[..., 0] = 1.0
    theta = torch.zeros(*scale.shape, 2, 3)
    theta[..., 0, 0] = theta[..., 1, 1] = scale
    theta[..., 2] = (1 - scale)[..., None] * (2 * draws[..., 1:] - 1)
    return theta


def cutouts(images: Tensor, windows: Tensor, size: int) -> Tensor:
    """Square crops, all in one call.

    Args:
        images: ``[B, 3, H, W]``.
        windows: one step of ``draw_windows``, ``[B, count, 2, 3]``.
        size: side of a crop, pixels.

    Returns:
        ``[B * count, 3, size, size]``, the crops of one image after another.
    """
    columns, rows = _places(images, windows, size)
    grid = torch.stack(torch.broadcast_tensors(columns[..., None, :], rows[..., None]), dim=-1)
    # the crops of an image lie below each other, so that its pixels need not be copied for every one of them
    stacked = functional.grid_sample(images, grid.flatten(1, 2), "bilinear", "border", align_corners=False)
    return stacked.unflatten(2, (-1, size)).transpose(1, 2).flatten(0, 1)


def cutouts_by_products(images: Tensor, windows: Tensor, size: int) -> Tensor:
    """The same crops up to rounding, by a product with the weights of the rows, and one with those of the columns.

    A window neither turns nor shears, so that its rows are sampled alike. What a gradient adds to a pixel comes in a
    fixed order, where ``grid_sample`` on a GPU adds in whatever order its threads arrive.
    """
    columns, rows = (
        _weights_of(places, length)
        for places, length in zip(_places(images, windows, size), (images.shape[3], images.shape[2]), strict=True)
    )
    narrow = rows.flatten(1, 2)[:, None] @ images  # [B, 3, count * size, W]
    crops = narrow.unflatten(2, (-1, size)).transpose(1, 2) @ columns[:, :, None].transpose(-1, -2)
    return crops.flatten(0, 1)


def _places(images: Tensor, windows: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Where a crop's columns and rows lie, from -1 to 1 across the image: each ``[B, count, size]``."""
    centres = (2 * torch.arange(size, device=images.device).to(images) + 1) / size - 1
    scale, shift = windows.to(images).diagonal(dim1=-2, dim2=-1), windows.to(images)[..., 2]
    columns, rows = (scale[..., None] * centres + shift[..., None]).unbind(2)
    return columns, rows


def _weights_of(places: Tensor, length: int) -> Tensor:
    """Bilinear weights of ``length`` pixels at places from -1 to 1, ``[..., size, length]``; the border goes on."""
    at = (((places + 1) * length - 1) / 2).clamp(0, length - 1)
    pixels = torch.arange(length, device=places.device).to(places)
    return (1 - (at[..., None] - pixels).abs()).clamp(min=0)
