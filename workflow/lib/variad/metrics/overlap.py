"""The curve of the mean overlap with defects against the false positive rate, and the area under its beginning."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variad.metrics.ranking import Ranking


class OverlapCurve(NamedTuple):
    """Corners of the curve from (0, 0) to (1, 1), both ascending: false positive ``rate`` and mean ``overlap``."""

    rate: NDArray[np.float64]
    overlap: NDArray[np.float64]

    def area(self, limit: float) -> float:
        """Area up to a false positive rate, divided by that rate: 0 to 1.

        Raises:
            ValueError: the limit is not above 0 and up to 1.
        """
        if not 0 < limit <= 1:
            raise ValueError(f"expected a limit of the false positive rate above 0 and up to 1, found {limit}.")
        inside = int(np.searchsorted(self.rate, limit, side="right"))
        x, y = self.rate[:inside], self.overlap[:inside]
        if inside < self.rate.size:
            end = np.interp(limit, self.rate[inside - 1 : inside + 1], self.overlap[inside - 1 : inside + 1])
            x, y = np.append(x, limit), np.append(y, end)
        # Rounding may carry a perfect map past one.
        return min(1.0, float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / limit))


def overlap_curve(defects: Ranking) -> OverlapCurve:
    """The exact curve of a ranking whose positives weigh what they add to the overlap."""
    overlap = np.cumsum(defects.positives)
    overlap /= overlap[-1]
    before = np.concatenate([[0.0], overlap[:-1]])
    # Two points a score: before its pixels count, and after. Between scores the curve is level.
    rate = np.stack([defects.above, defects.above + defects.tied], axis=1).ravel() / defects.negatives
    height = np.stack([before, overlap], axis=1).ravel()
    return OverlapCurve(np.concatenate([[0.0], rate, [1.0]]), np.concatenate([[0.0], height, [1.0]]))
