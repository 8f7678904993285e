"""What EfficientAD trains, and what it is shown besides the training images (Batzner et al., WACV 2024).

A student learns from a teacher, and from an autoencoder that squeezes an image through 64 numbers. The autoencoder
learns from random views of the images, and the student is to answer nothing on penalty images of anything else."""

import functools
import itertools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from variad.core.errors import UserError
from variad.core.images import read_image, to_rgb8
from variad.datasets.open_images import photographs
from variad.networks.features import prepare, to_tensor
from variad.networks.gpu_steps import constant
from variad.networks.pdn import PDN, PDNConfig, output_side
from variad.networks.training import Crop, channels_first, cut, draw_crop

HARDEST = 0.999  # quantile of the squared differences from which the student learns
LATENT, HALVINGS = 64, 5  # numbers of the bottleneck, and strided convolutions in front of it
# maps between the decoder's layers: side // divisor - less; at 256 px: 3, 8, 15, 32, 63 and 127
STEPS = ((64, 1), (32, 0), (16, 1), (8, 0), (4, 1), (2, 1))
DROPOUT = 0.2  # behind each of the decoder's first six convolutions, in training
KINDS = ("brightness", "contrast", "saturation")  # of a view's change of colour (torchvision's ColorJitter)
RANGE = (0.8, 1.2)  # of its factor
LUMA = (0.299, 0.587, 0.114)  # of RGB
BUNDLED, NONE = "photographs", "none"  # sources of penalty images that are no folder
GREY = 0.3  # share of the penalty images that are turned grey
SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp")  # of a folder's penalty images


class Batch(NamedTuple):
    """One step's images, standardised ``[B, 3, S, S]``, and the teacher's standardised answers ``[B, C, h, h]``.

    ``penalty`` may hold no image, and ``views`` hold none where there is no autoencoder.
    """

    images: Tensor
    answers: Tensor
    views: Tensor
    view_answers: Tensor
    penalty: Tensor


class StudentAndAutoencoder(nn.Module):
    """Student and autoencoder of one teacher.

    The student is the teacher's network with twice the outputs: the first half is to equal the teacher, the second half
    the autoencoder (section 3.3).

    Args:
        config: the teacher's network.
        side: S, pixels.
        autoencoder: whether there is one; without it the student has the first half only.
    """

    def __init__(self, config: PDNConfig, side: int, autoencoder: bool = True) -> None:
        super().__init__()
        self.channels = config.channels
        self.student = PDN(config, 2 * config.channels if autoencoder else None)
        self.autoencoder = Autoencoder(side, config.channels, config.width) if autoencoder else None

    def loss(self, batch: Batch, hard_features: float) -> Tensor:
        """Student-teacher, penalty, autoencoder and student-autoencoder loss (appendix, algorithm 1).

        All three sorts of images go through the student at once, and each only through the half that it is for.
        """
        count, others = len(batch.images), len(batch.images) + len(batch.penalty)
        described = self.student.trunk(torch.cat([batch.images, batch.penalty, batch.views]))
        of_teacher = self._half(described[:others], 0).float()
        loss = hard_feature_loss((of_teacher[:count] - batch.answers).square(), hard_features)
        if len(batch.penalty):
            loss = loss + of_teacher[count:].square().mean()
        if self.autoencoder is None:
            return loss
        rebuilt, of_autoencoder = self.autoencoder(batch.views).float(), self._half(described[others:], 1).float()
        return loss + functional.mse_loss(rebuilt, batch.view_answers) + functional.mse_loss(of_autoencoder, rebuilt)

    def maps(self, images: Tensor, answers: Tensor) -> Tensor:
        """Student-teacher and autoencoder-student map, mean squared differences over channels, ``[2, B, h, h]``.

        Without an autoencoder there is the first alone, ``[1, B, h, h]``.
        """
        found = self.student(images).float()
        of_teacher, of_autoencoder = found[:, : self.channels], found[:, self.channels :]
        maps = [(of_teacher - answers).square().mean(dim=1)]
        if self.autoencoder is not None:
            maps.append((self.autoencoder(images).float() - of_autoencoder).square().mean(dim=1))
        return torch.stack(maps)

    def _half(self, described: Tensor, half: int) -> Tensor:
        head, rows = self.student.head, slice(half * self.channels, (half + 1) * self.channels)
        bias = None if head.bias is None else head.bias[rows]
        return functional.conv2d(described, head.weight[rows], bias)


def hard_feature_loss(distances: Tensor, quantile: float = HARDEST) -> Tensor:
    """Mean of the squared distances that are not below their ``quantile``, where the student is worst (section 3.2).

    The quantile itself is not computed: it sorts everything, and torch's takes at most 2^24 values. The values at or
    above it are the largest ``n - ceil(quantile * (n - 1))``.

    Args:
        distances: squared differences of any shape.
        quantile: 0 gives the mean of all.
    """
    flat = distances.flatten()
    return flat.topk(hard_count(len(flat), quantile), sorted=False).values.mean()


def hard_count(values: int, quantile: float) -> int:
    """How many of so many different values are at or above their quantile (linearly interpolated)."""
    return values - math.ceil(quantile * (values - 1))


class Autoencoder(nn.Module):
    """Images ``[B, 3, S, S]``, standardised, to ``[B, channels, h, h]`` on the PDN's grid, ``h = output_side(S)``.

    Its dropout is drawn where it computes, so that trainings on a CPU and on a GPU differ by it even from one seed: to
    draw 1.4 million numbers a step on the CPU takes longer than a GPU's whole step.

    Source: table 8. The bottleneck covers the whole image at every resolution (8 x 8 positions at 256 px), so that the
    autoencoder cannot copy what it sees.

    Args:
        side: S, pixels, at least 64.
        channels: of the teacher.
        width: multiplies the channels of the layers between; the bottleneck keeps its 64.
    """

    def __init__(self, side: int, channels: int, width: float = 1.0) -> None:
        super().__init__()
        narrow, wide = max(1, int(32 * width)), max(1, int(64 * width))
        self.sides = [max(1, side // divisor - less) for divisor, less in STEPS]
        self.output = output_side(side)
        widths = [3, narrow, narrow, wide, wide, wide]
        halvings = [nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in itertools.pairwise(widths)]
        self.encoder = nn.ModuleList([*halvings, nn.Conv2d(wide, LATENT, side // 2**HALVINGS)])
        inputs = [LATENT] + [wide] * (len(STEPS) - 1)
        self.decoder = nn.ModuleList(nn.Conv2d(inside, wide, 4, padding=2) for inside in inputs)
        self.before_last, self.last = nn.Conv2d(wide, wide, 3, padding=1), nn.Conv2d(wide, channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """The teacher's output as far as 64 numbers can tell it."""
        x = images
        for layer in self.encoder[:-1]:
            x = functional.relu(layer(x), inplace=True)
        x = self.encoder[-1](x)
        for layer, side in zip(self.decoder, self.sides, strict=True):
            x = functional.relu(layer(_resized(x, side)), inplace=True)
            x = functional.dropout(x, DROPOUT, self.training)
        x = functional.relu(self.before_last(_resized(x, self.output)), inplace=True)
        found: Tensor = self.last(x)
        return found


def _resized(x: Tensor, side: int) -> Tensor:
    return functional.interpolate(x, (side, side), mode="bilinear")


def draw_jitter(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices into ``KINDS`` and factors of ``count`` views, uniform: one change of colour each (algorithm 1)."""
    kinds = torch.randint(len(KINDS), (count,), generator=generator)
    low, high = RANGE
    return kinds, low + (high - low) * torch.rand(count, generator=generator)


def jitter(images: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
    """Blend each image with black, its mean brightness or its own grey; a factor of 1 changes nothing.

    Args:
        images: RGB ``[B, 3, H, W]`` in [0, 1].
        kinds, factors: ``[B]``, of ``draw_jitter``.
    """
    weights = constant(LUMA, images.device).view(1, 3, 1, 1)
    grey = (images * weights).sum(dim=1, keepdim=True)
    kinds, factors = (values.to(images.device).view(-1, 1, 1, 1) for values in (kinds, factors))
    mean = grey.mean(dim=(2, 3), keepdim=True)
    other = torch.where(kinds == 0, 0.0, torch.where(kinds == 1, mean, grey))
    return (other + factors * (images - other)).clamp(0, 1)


class PenaltyImages:
    """Draws penalty images of a given side (section 3.2).

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
        self.files: list[Path] = []
        if source != BUNDLED:
            self.files = sorted(path for path in Path(source).rglob("*") if path.suffix.lower() in SUFFIXES)
            if not self.files:
                wanted = f"'{BUNDLED}', '{NONE}' or a folder with images"
                raise UserError(f"efficientad.penalty: expected {wanted}, found '{source}'.")

    def draw(self, count: int, generator: np.random.Generator) -> Tensor:
        """``[count, 3, side, side]`` in [0, 1]."""
        return torch.stack([self.made(self.drawn(generator)) for _ in range(count)])

    def drawn(self, generator: np.random.Generator) -> "PenaltyImage":
        """Draw one, without looking at it yet."""
        crop = draw_crop(self.bundled, self.side, generator) if self.bundled else None
        file = None if self.bundled else self.files[int(generator.integers(len(self.files)))]
        return PenaltyImage(crop, file, generator.uniform() < GREY)

    def made(self, drawn: "PenaltyImage") -> Tensor:
        """What was drawn, cut out or read, ``[3, side, side]`` in [0, 1]."""
        if drawn.crop is not None:
            image = cut(self.bundled, self.side, drawn.crop)
        else:
            assert drawn.file is not None
            picture = np.array(to_rgb8(read_image(drawn.file)))
            image = prepare(to_tensor(picture[None]), 2 * self.side, self.side)[0]
        return image.mean(dim=0, keepdim=True).expand(3, -1, -1) if drawn.grey else image


class PenaltyImage(NamedTuple):
    """A penalty image that was drawn: a crop of a bundled photograph or a file, and whether it is turned grey."""

    crop: Crop | None
    file: Path | None
    grey: bool


@functools.cache
def _bundled() -> list[Tensor]:
    return channels_first(photographs(False))
