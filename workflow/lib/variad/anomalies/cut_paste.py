"""A small change of a patch's colours."""

import numpy as np
from PIL import Image, ImageEnhance

from variad.anomalies.anomaly_file import Anomaly
from variad.core.images import Images

AMOUNT = 0.1  # CutPaste, section 4.1: "color jitter" of at most this intensity


def jitter_patch(patch: Images, generator: np.random.Generator) -> Images:
    """Change brightness, contrast and saturation by up to a tenth, and hue by up to a tenth of the circle.

    Args:
        patch: uint8 RGB ``[h, w, 3]``; a grey one stays grey.
    """
    picture = Image.fromarray(patch)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(float(generator.uniform(1 - AMOUNT, 1 + AMOUNT)))
    turn = round(generator.uniform(-AMOUNT, AMOUNT) * 256)
    hue, saturation, value = picture.convert("HSV").split()
    hue = Image.fromarray((np.asarray(hue).astype(np.int64) + turn).astype(np.uint8))  # wraps round: 256 parts
    return np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"))


# CutPaste: a rectangle of an image, its colours changed a little, put elsewhere in the same image.
#
# Source: Li et al., CutPaste: Self-Supervised Learning for Anomaly Detection and Localization (CVPR 2021), section 2.2
# and appendix: area 2 to 15 % of the image, aspect ratio 0.3 to 1 or 1 to 3.3, colour jitter 0.1.

AREA = (0.02, 0.15)
ASPECTS = ((0.3, 1.0), (1.0, 3.3))


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


def _corner(side: int, height: int, width: int, generator: np.random.Generator) -> tuple[int, int]:
    return int(generator.integers(side - height + 1)), int(generator.integers(side - width + 1))


# CutPaste's scar: a thin strip of an image, its colours changed a little, turned and put elsewhere in the same image.
#
# Source: Li et al., CutPaste (CVPR 2021), section 2.2 and appendix: width 2 to 16 and length 10 to 25 px in images of
# 256 px, rotation within 45 degrees, colour jitter 0.1.

REFERENCE_SIDE = 256
WIDTH, LENGTH = (2.0, 16.0), (10.0, 25.0)
ANGLE = 45.0


def scar(image: Images, image_id: str, generator: np.random.Generator) -> Anomaly:
    """Paste one turned strip of ``image`` (uint8 ``[S, S, 3]``, S at least 32) into it."""
    side = image.shape[0]
    scale = side / REFERENCE_SIDE
    width, length = (max(1, round(float(generator.uniform(*span)) * scale)) for span in (WIDTH, LENGTH))
    angle = float(generator.uniform(-ANGLE, ANGLE))
    top, left = int(generator.integers(side - length + 1)), int(generator.integers(side - width + 1))
    strip = jitter_patch(image[top : top + length, left : left + width], generator)
    turned, mask = _turn(strip, angle)
    height, breadth = mask.shape
    down, right = int(generator.integers(side - height + 1)), int(generator.integers(side - breadth + 1))
    changed = image.copy()
    changed[down : down + height, right : right + breadth][mask] = turned[mask]
    drawn = {"cut": [top, left], "paste": [down, right], "width": width, "length": length, "angle": round(angle, 2)}
    return Anomaly(changed, image_id, parameters={**drawn, "area": int(mask.sum())})


def _turn(strip: Images, angle: float) -> tuple[Images, np.ndarray[tuple[int, int], np.dtype[np.bool_]]]:
    """The strip turned by ``angle`` degrees with its bounding box, and where in that box it lies."""
    inside = Image.new("L", (strip.shape[1], strip.shape[0]), 255)
    mask = np.asarray(inside.rotate(angle, Image.Resampling.NEAREST, expand=True)) > 0
    # Turned by the nearest pixel too: interpolation would mix the border with black.
    turned = Image.fromarray(strip).rotate(angle, Image.Resampling.NEAREST, expand=True)
    return np.asarray(turned), mask
