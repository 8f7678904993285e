"""Bringing two anomaly maps to one scale by quantiles of normal images (EfficientAD, section 3.3)."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float32]
QUANTILES = (0.9, 0.995)


class MapRange(NamedTuple):
    """Two quantiles of a map's values on normal images; they become 0 and 0.1."""

    low: float
    high: float

    @classmethod
    def of(cls, maps: Maps) -> Self:
        """The quantiles 0.9 and 0.995 of all positions of ``maps`` ``[N, h, w]``."""
        low, high = np.quantile(maps.astype(np.float64), QUANTILES)
        return cls(float(low), float(high))

    def normalised(self, maps: Maps) -> Maps:
        """``maps`` on the common scale; where the quantiles are equal only their level is taken away."""
        spread = self.high - self.low
        return np.asarray((maps - self.low) * (0.1 / spread if spread > 0 else 1.0), np.float32)
