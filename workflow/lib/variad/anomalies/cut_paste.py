"""CutPaste: a rectangle, or a scar, of an image, its colours changed a little, put elsewhere in the same image.

Source: Li et al., CutPaste: Self-Supervised Learning for Anomaly Detection and Localization (CVPR 2021), sections 2.2
and 4.1 and appendix."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from variad.anomalies.anomaly_file import Anomaly
from variad.core.images import Images

AREA = (0.02, 0.15)  # of a rectangle, share of the image
ASPECTS = ((0.3, 1.0), (1.0, 3.3))  # ranges of its width over its height, either as likely
REFERENCE_SIDE = 256  # pixels of the image that a scar's sides are given for
WIDTH, LENGTH = (2.0, 16.0), (10.0, 25.0)  # of a scar, pixels
ANGLE = 45.0  # degrees by which a scar is turned at most, either way
JITTER = 0.1  # largest intensity of the change of colour


def cut_paste(image: Images, image_id: str, generator: np.random.Generator) -> Anomaly:
    """Move one rectangle of ``image`` (uint8 ``[S, S, 3]``); nothing outside of its new place changes."""
    height, width = draw_sides(image.shape[0], generator)
    cut, paste = (_corner(image.shape[0], height, width, generator) for _ in range(2))
    changed = image.copy()
    patch = image[cut[0] : cut[0] + height, cut[1] : cut[1] + width]
    changed[paste[0] : paste[0] + height, paste[1] : paste[1] + width] = jitter_patch(patch, generator)
    return Anomaly(changed, image_id, parameters={"cut": cut, "paste": paste, "height": height, "width": width})


def draw_sides(side: int, generator: np.random.Generator) -> tuple[int, int]:
    """Height and width in pixels of a rectangle in an image of ``side`` pixels."""
    area = generator.uniform(*AREA) * side**2
    aspect = generator.uniform(*ASPECTS[int(generator.integers(2))])
    height, width = np.sqrt(area / aspect), np.sqrt(area * aspect)
    return max(1, round(float(height))), max(1, round(float(width)))


def scar(image: Images, image_id: str, generator: np.random.Generator) -> Anomaly:
    """Paste one thin strip of ``image`` (uint8 ``[S, S, 3]``, S at least 32), turned, into it."""
    side = image.shape[0]
    scale = side / REFERENCE_SIDE
    width, length = (max(1, round(float(generator.uniform(*span)) * scale)) for span in (WIDTH, LENGTH))
    angle = float(generator.uniform(-ANGLE, ANGLE))
    top, left = _corner(side, length, width, generator)
    strip = jitter_patch(image[top : top + length, left : left + width], generator)
    turned, mask = _turn(strip, angle)
    height, breadth = mask.shape
    down, right = _corner(side, height, breadth, generator)
    changed = image.copy()
    changed[down : down + height, right : right + breadth][mask] = turned[mask]
    drawn = {"cut": [top, left], "paste": [down, right], "width": width, "length": length, "angle": round(angle, 2)}
    return Anomaly(changed, image_id, parameters={**drawn, "area": int(mask.sum())})


def _turn(strip: Images, angle: float) -> tuple[Images, NDArray[np.bool_]]:
    """The strip turned by ``angle`` degrees with its bounding box, and where in that box it lies."""
    inside = Image.new("L", (strip.shape[1], strip.shape[0]), 255)
    # both by the nearest pixel: interpolation would mix the border with black
    mask, turned = (
        picture.rotate(angle, Image.Resampling.NEAREST, expand=True) for picture in (inside, Image.fromarray(strip))
    )
    return np.asarray(turned), np.asarray(mask) > 0


def _corner(side: int, height: int, width: int, generator: np.random.Generator) -> tuple[int, int]:
    return int(generator.integers(side - height + 1)), int(generator.integers(side - width + 1))


def jitter_patch(patch: Images, generator: np.random.Generator) -> Images:
    """Change brightness, contrast and saturation by up to a tenth, and hue by up to a tenth of the circle.

    Args:
        patch: uint8 RGB ``[h, w, 3]``; a grey one stays grey.
    """
    picture = Image.fromarray(patch)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(float(generator.uniform(1 - JITTER, 1 + JITTER)))
    turn = round(generator.uniform(-JITTER, JITTER) * 256)
    hue, saturation, value = picture.convert("HSV").split()
    hue = Image.fromarray((np.asarray(hue).astype(np.int64) + turn).astype(np.uint8))  # wraps round: 256 parts
    return np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"))
