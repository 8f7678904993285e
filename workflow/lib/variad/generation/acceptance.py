"""Keeping or rejecting generated images by their similarity to the prompt and their distance to the parent."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def distance_to_view(images: Tensor, views: Tensor) -> Tensor:
    """Root mean square pixel difference, ``[B]``, of images ``[B, 3, H, W]`` in [0, 1]."""
    return (images - views).square().mean(dim=(1, 2, 3)).sqrt()


def accepted(
    similarity_gain: NDArray[np.float32],
    distance: NDArray[np.float32],
    min_similarity_gain: float | None,
    max_distance: float | None,
) -> NDArray[np.bool_]:
    """Which images pass both limits; a limit of None lets everything pass [assumed].

    Args:
        similarity_gain: cosine with the prompt after the last step less that before the first; NaN if not guided,
            which passes.
        distance: see ``distance_to_view``.
    """
    passes = np.ones(len(distance), bool)
    if min_similarity_gain is not None:
        passes &= ~(similarity_gain < min_similarity_gain)
    if max_distance is not None:
        passes &= distance <= max_distance
    return passes
