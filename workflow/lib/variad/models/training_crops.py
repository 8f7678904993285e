"""Crops to train small networks on: open photographs, simulated textiles and drawn pictures, augmented.

Most crops are grey and of low contrast, because images from production lines often are.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from variad.models import open_images
from variad.models.drawn_images import drawn
from variad.seeding import numpy_generator

PHOTOGRAPHS, TEXTILES, DRAWN = 0.46, 0.08, 0.46  # share of the crops that each group gives


class TrainingCrops:
    """Batches of augmented crops; the same for the same seed and step, in whatever order they are drawn.

    Args:
        seed: root seed.
        side: side of a crop, pixels.
        grey: share of crops that are turned grey.
        drawn_count: number of drawn pictures.
        drawn_side: their side, pixels.
    """

    def __init__(self, seed: int, side: int, grey: float, drawn_count: int, drawn_side: int) -> None:
        self.seed, self.side, self.grey = seed, side, grey
        own = drawn(drawn_count, drawn_side, numpy_generator(seed, "vqgan", "drawn"))
        groups = (open_images.photographs(False), open_images.textiles(False), own)
        self.groups = [[torch.from_numpy(picture.copy()).permute(2, 0, 1) for picture in group] for group in groups]

    def batch(self, size: int, step: int) -> Tensor:
        """Crops ``[size, 3, side, side]`` in [-1, 1]."""
        generator = numpy_generator(self.seed, "vqgan", "crops", step)
        shares = np.array([PHOTOGRAPHS, TEXTILES, DRAWN])
        groups = generator.choice(len(self.groups), size, p=shares / shares.sum())
        crops = [random_crop(self.groups[group], self.side, generator) for group in groups]
        return torch.stack([jitter(crop, self.grey, generator) for crop in crops]) * 2 - 1


def random_crop(pictures: list[Tensor], side: int, generator: np.random.Generator) -> Tensor:
    """A square of one picture (uint8 ``[3, H, W]``), flipped and transposed at random; ``[3, side, side]`` in [0, 1].

    Its size before resizing is between 0.75 and 3 sides, uniform in its logarithm, as far as the picture is so large.
    """
    picture = pictures[generator.integers(len(pictures))]
    largest = min(picture.shape[1:])
    size = int(np.exp(generator.uniform(np.log(min(0.75 * side, largest)), np.log(min(3.0 * side, largest)))))
    top, left = (int(generator.integers(length - size + 1)) for length in picture.shape[1:])
    window = picture[None, :, top : top + size, left : left + size].float() / 255
    crop = functional.interpolate(window, (side, side), mode="bilinear", antialias=True, align_corners=False)[0]
    crop = crop.flip([axis for axis in (1, 2) if generator.uniform() < 0.5])
    return crop.transpose(1, 2) if generator.uniform() < 0.5 else crop


def jitter(crop: Tensor, grey: float, generator: np.random.Generator) -> Tensor:
    """Grey or colour gains, gamma, sometimes inverted, contrast, brightness, mild noise; ``[3, H, W]`` in [0, 1]."""
    if generator.uniform() < grey:
        crop = crop.mean(0, keepdim=True)
    else:
        crop = crop * torch.from_numpy(generator.uniform(0.8, 1.2, (3, 1, 1))).float()
    crop = crop.clamp(0, 1) ** float(np.exp(generator.uniform(-0.6, 0.6)))
    if generator.uniform() < 0.15:
        crop = 1 - crop
    middle = crop.mean()
    contrast, shift = float(np.exp(generator.uniform(-1.8, 0.3))), generator.uniform(-0.3, 0.3)
    crop = (crop - middle) * contrast + (middle + shift).clamp(0.05, 0.95)
    if generator.uniform() < 0.5:
        crop = crop + torch.from_numpy(generator.normal(0, generator.uniform(0, 0.03), crop.shape)).float()
    return crop.clamp(0, 1).expand(3, -1, -1)
