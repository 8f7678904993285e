"""The pixels of a run's anomaly maps, pooled for metrics and counted for the bootstrap."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from variad.errors import UserError
from variad.metrics.pixel_records import PixelHistograms
from variad.metrics.ranking import Ranking, rank_parts
from variad.metrics.sorted_parts import at_ranks

Array = NDArray[Any]

BINS = 1024

# Defects that touch at a corner are one region, as in MVTec's evaluator.
_NEIGHBOURS = np.ones((3, 3), dtype=int)


@dataclass
class PixelPool:
    """Pixels of the images seen so far, one entry an image.

    Attributes:
        positives: map values inside the mask, ascending.
        negatives: map values outside the mask, ascending.
        shares: for each value of ``positives``, one over the area of its connected region.
    """

    image_id: list[str] = field(default_factory=list)
    positives: list[Array] = field(default_factory=list)
    negatives: list[Array] = field(default_factory=list)
    shares: list[Array] = field(default_factory=list)

    def add(self, image_id: str, anomaly_map: Array, mask: Array) -> None:
        """Add an image, ``[height, width]`` both.

        Raises:
            UserError: the shapes differ.
        """
        inside, values = split_by_mask(image_id, anomaly_map, mask)
        region = ndimage.label(inside, structure=_NEIGHBOURS)[0][inside]
        order = np.argsort(values[inside], kind="stable")
        self.image_id.append(image_id)
        self.positives.append(values[inside][order])
        self.negatives.append(np.sort(values[~inside]))
        self.shares.append((1 / np.bincount(region)[region])[order] if region.size else np.zeros(0))

    def rankings(self) -> tuple[Ranking, Ranking]:
        """Pixels ranked with equal weight, and with the same total weight for each connected region."""
        weightings = [None, np.concatenate(self.shares)]
        pixels, regions = rank_parts(np.concatenate(self.positives), self.negatives, weightings)
        return pixels, regions

    def has_both_classes(self) -> bool:
        """Whether there is a pixel inside and one outside the masks."""
        return any(part.size for part in self.positives) and any(part.size for part in self.negatives)

    def histograms(self, bins: int = BINS) -> PixelHistograms:
        """Histogram of each image between quantiles of all pixels."""
        parts = self.positives + self.negatives
        # Values as they are: interpolated quantiles would depend on the precision.
        edges = np.unique(at_ranks(parts, np.arange(1, bins) * sum(part.size for part in parts) // bins))
        return PixelHistograms(
            tuple(self.image_id),
            edges,
            np.stack([histogram(values, edges) for values in self.positives]),
            np.stack([histogram(values, edges) for values in self.negatives]),
        )


def histogram(ascending: Array, edges: Array) -> NDArray[np.int64]:
    """How many of the values ``[n]`` lie below the first edge, between each two, and from the last on, ``[E + 1]``."""
    below = np.searchsorted(ascending, edges, side="left")
    return np.diff(below, prepend=0, append=ascending.size).astype(np.int64)


def split_by_mask(image_id: str, anomaly_map: Array, mask: Array) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """The mask as booleans and the map in float32, both ``[height, width]``.

    Raises:
        UserError: the shapes differ.
    """
    if anomaly_map.ndim != 2 or anomaly_map.shape != mask.shape:
        raise UserError(f"{image_id}: expected a mask of the map's size {anomaly_map.shape}, found {mask.shape}.")
    return mask > 0, np.asarray(anomaly_map, dtype=np.float32)
