"""Small pictures for the gallery. Their names are numbers, never a user's text."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from variad.report.colour_map import colourise

PICTURE_SIZE = 224
MAP_SIZE = 112
QUALITY = 80


def save_picture(image: npt.NDArray[np.uint8], path: Path) -> None:
    """Save an RGB image ``[h, w, 3]`` as JPEG, at most 224 pixels wide; grey ones with one channel, half the work."""
    grey = (image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all()
    picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if grey else image))
    if max(picture.size) > PICTURE_SIZE:
        picture = picture.resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.BOX, reducing_gap=2.0)
    picture.save(path, "JPEG", quality=QUALITY)


def save_mask(mask: npt.NDArray[np.uint8], path: Path) -> None:
    """Save a mask ``[h, w]`` as a black and white PNG of 224 pixels; a defect of a few pixels stays visible."""
    small = Image.fromarray(mask).convert("L").resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.BOX)
    small.point(lambda value: 255 if value > 0 else 0).convert("1").save(path, "PNG")


def save_map(values: npt.NDArray[np.float32], low: float, high: float, path: Path) -> None:
    """Save an anomaly map ``[h, w]`` in the colours of its scale as JPEG."""
    Image.fromarray(colourise(values, low, high)).save(path, "JPEG", quality=QUALITY)
