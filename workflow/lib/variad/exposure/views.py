"""Light augmentation of what a network is fine-tuned on: the same for normal and synthetic images."""

import numpy as np
from numpy.typing import NDArray

from variad.records import Images

Quarters = NDArray[np.int64]
SHIFT = 0.04  # of the side, at most


def random_views(images: Images, count: int, generator: np.random.Generator) -> Images:
    """``count`` views of every image: mirrored or not, shifted by up to 4 % of its side, borders reflected [assumed].

    Args:
        images: uint8 ``[N, S, S, 3]``.

    Returns:
        uint8 ``[count * N, S, S, 3]``; view v of image n is row ``v * N + n``.
    """
    total = count * len(images)
    reach = max(1, round(SHIFT * images.shape[1]))
    mirrored = generator.random(total) < 0.5
    shifts = generator.integers(-reach, reach + 1, (total, 2))
    return np.stack([_view(images[row % len(images)], mirrored[row], shifts[row], reach) for row in range(total)])


def rotated(images: Images, quarters: Quarters) -> Images:
    """Image n turned by ``quarters[n]`` quarters."""
    return np.stack([np.rot90(image, int(turns)) for image, turns in zip(images, quarters, strict=True)])


def _view(image: Images, mirror: bool, shift: NDArray[np.int64], reach: int) -> Images:
    side = image.shape[0]
    padded = np.pad(image[:, ::-1] if mirror else image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    top, left = reach + int(shift[0]), reach + int(shift[1])
    return padded[top : top + side, left : left + side]
