"""EfficientAD's hard-feature loss: the student learns where it is still worst (section 3.2)."""

import math

from torch import Tensor

HARDEST = 0.999


def hard_feature_loss(distances: Tensor, quantile: float = HARDEST) -> Tensor:
    """Mean of the squared distances that are not below their ``quantile``.

    The quantile itself is not computed: it sorts everything, and torch's takes at most 2^24 values. The values at or
    above it are the largest ``n - ceil(quantile * (n - 1))``.

    Args:
        distances: squared differences of any shape.
        quantile: 0 gives the mean of all.
    """
    flat = distances.flatten()
    return flat.topk(hard_count(len(flat), quantile), sorted=False).values.mean()


def hard_count(values: int, quantile: float) -> int:
    """How many of so many different values are at or above their quantile (linearly interpolated)."""
    return values - math.ceil(quantile * (values - 1))
