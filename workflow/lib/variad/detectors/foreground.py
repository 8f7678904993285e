"""Which patches of an image show the object, from its features alone (AnomalyDINO, Damm et al., WACV 2025).

A vision transformer that learnt without labels tells object and background apart by the main direction in which the
patches of one image differ. Patches beyond a threshold on one side of it are the object. Which side, the middle of the
image says: the object is expected there. Nothing is learnt, and no image depends on another one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

BORDER = 0.2  # of each side: what is between is the middle
_SQUARE = np.ones((3, 3), bool)


def foreground(patches: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Masks of the object, grown by one patch, its holes of one patch closed.

    The authors take the other side where the one that their PCA calls positive, which is arbitrary, covers no more than
    35 % of the middle; here the side that covers more of the middle is the object [ours]. An image in which no patch is
    beyond the threshold is all object, so that it cannot pass as free of defects unseen [ours]; theirs then scores 0.

    Args:
        patches: ``[N, h, w, D]``, not scaled to unit length.
        threshold: in the features' own units, at least 0; 10 for DINOv2.

    Returns:
        ``[N, h, w]``.
    """
    return (
        np.stack([_object(image, threshold) for image in patches]) if len(patches) else np.ones(patches.shape[:3], bool)
    )


def _object(image: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    height, width, channels = image.shape
    along = main_component(image.reshape(-1, channels)).reshape(height, width)
    sides = [along > threshold, -along > threshold]
    middle = tuple(slice(int(side * BORDER), max(1, int(side * (1 - BORDER)))) for side in (height, width))
    mask = max(sides, key=lambda side: (int(side[middle].sum()), -int(side.sum())))
    if not mask.any():
        return np.ones_like(mask)
    grown = binary_dilation(mask, _SQUARE)
    closed: NDArray[np.bool_] = binary_erosion(binary_dilation(grown, _SQUARE), _SQUARE, border_value=1)
    return closed


def main_component(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Places ``[N]`` of points ``[N, D]`` along the direction in which they vary most, 0 at their mean; either sign."""
    centred = points.astype(np.float64)
    centred -= centred.mean(axis=0)
    wide = centred.shape[1] > centred.shape[0]
    variance, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    along: NDArray[np.float64] = vectors[:, -1] * np.sqrt(max(variance[-1], 0.0)) if wide else centred @ vectors[:, -1]
    return along
