"""CutPaste's scar: a thin strip of an image, its colours changed a little, turned and put elsewhere in the same image.

Source: Li et al., CutPaste (CVPR 2021), section 2.2 and appendix: width 2 to 16 and length 10 to 25 px in images of
256 px, rotation within 45 degrees, colour jitter 0.1.
"""

import numpy as np
from PIL import Image

from variad.anomalies.anomaly_file import Anomaly
from variad.anomalies.patch_jitter import jitter_patch
from variad.records import Images

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
