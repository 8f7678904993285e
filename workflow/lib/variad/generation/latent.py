"""The variance-aware latent: mean, spread and one draw around it (first document, table 16)."""

import hashlib

import torch
from torch import Tensor

from variad.generation.strategies import strategy
from variad.models.vqgan import VQGAN


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
VIEWS = 4  # augmented views that the spread of one image is taken from [assumed]


class Spreads:
    """The spread around each image's latent, computed once an image, however many are made of it."""

    def __init__(self, vqgan: VQGAN, view: str, form: str) -> None:
        """
        Args:
            view: the strategy that gives the views.
            form: ``codebook`` or ``views``.
        """
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
    low = codebook.amin(dim=0)[:, None, None]
    high = codebook.amax(dim=0)[:, None, None]
    return torch.minimum(torch.maximum(latent, low), high)
