"""The random views that EfficientAD's autoencoder learns from (appendix, algorithm 1): one change of colour each."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from variad.core.errors import UserError
from variad.core.images import read_image, to_rgb8
from variad.datasets.open_images import photographs
from variad.networks.features import prepare, to_tensor
from variad.networks.training import random_crop

RANGE = (0.8, 1.2)
LUMA = (0.299, 0.587, 0.114)
KINDS = ("brightness", "contrast", "saturation")


def draw_jitter(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices into ``KINDS`` and factors of ``count`` views, uniform."""
    kinds = torch.randint(len(KINDS), (count,), generator=generator)
    low, high = RANGE
    return kinds, low + (high - low) * torch.rand(count, generator=generator)


def jitter(images: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
    """Blend each image with black, its mean brightness or its own grey; a factor of 1 changes nothing.

    Args:
        images: RGB ``[B, 3, H, W]`` in [0, 1].
        kinds, factors: ``[B]``, of ``draw_jitter``.
    """
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    grey = (images * weights).sum(dim=1, keepdim=True)
    kinds, factors = (values.to(images.device).view(-1, 1, 1, 1) for values in (kinds, factors))
    mean = grey.mean(dim=(2, 3), keepdim=True)
    other = torch.where(kinds == 0, 0.0, torch.where(kinds == 1, mean, grey))
    return (other + factors * (images - other)).clamp(0, 1)


# Images of anything else, on which EfficientAD's student is to answer nothing (section 3.2, the penalty term).

BUNDLED, NONE = "photographs", "none"
GREY = 0.3  # share of the images that are turned grey
SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp")


class PenaltyImages:
    """Draws penalty images of a given side.

    Args:
        source: ``photographs`` (random crops of the openly licensed ones that come with scikit-image), or a folder
            whose images, at any depth, are enlarged to twice the side and cut to their centre, as in the paper.
        side: pixels.

    Raises:
        UserError: there is no such folder, or no image in it.
    """

    def __init__(self, source: str, side: int) -> None:
        self.side = side
        self.bundled = _bundled() if source == BUNDLED else []
        self.files = image_files(source) if source != BUNDLED else []

    def draw(self, count: int, generator: np.random.Generator) -> Tensor:
        """``[count, 3, side, side]`` in [0, 1]."""
        return torch.stack([self._one(generator) for _ in range(count)])

    def _one(self, generator: np.random.Generator) -> Tensor:
        if self.bundled:
            image = random_crop(self.bundled, self.side, generator)
        else:
            picture = np.array(to_rgb8(read_image(self.files[int(generator.integers(len(self.files)))])))
            image = prepare(to_tensor(picture[None]), 2 * self.side, self.side)[0]
        return image.mean(dim=0, keepdim=True).expand(3, -1, -1) if generator.uniform() < GREY else image


def image_files(folder: str) -> Sequence[Path]:
    """The images of a folder and those below it, sorted.

    Raises:
        UserError: there is no such folder, or no image in it.
    """
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(
            f"efficientad.penalty: expected '{BUNDLED}', '{NONE}' or a folder with images, found '{folder}'."
        )
    return found


@functools.cache
def _bundled() -> list[Tensor]:
    return [torch.from_numpy(picture.copy()).permute(2, 0, 1) for picture in photographs(False)]
