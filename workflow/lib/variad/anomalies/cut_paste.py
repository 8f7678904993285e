"""CutPaste: a rectangle of an image, its colours changed a little, put elsewhere in the same image.

Source: Li et al., CutPaste: Self-Supervised Learning for Anomaly Detection and Localization (CVPR 2021), section 2.2
and appendix: area 2 to 15 % of the image, aspect ratio 0.3 to 1 or 1 to 3.3, colour jitter 0.1.
"""

import numpy as np

from variad.anomalies.anomaly_file import Anomaly
from variad.anomalies.patch_jitter import jitter_patch
from variad.records import Images

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
