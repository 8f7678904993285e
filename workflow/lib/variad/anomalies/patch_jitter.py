"""A small change of a patch's colours."""

import numpy as np
from PIL import Image, ImageEnhance

from variad.records import Images

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
