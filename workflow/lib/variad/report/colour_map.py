"""The one colour map of anomaly maps: viridis, perceptually uniform and readable with colour blindness.

Kept as 33 stops (largest error 2 of 255), because importing matplotlib costs every job of a cell over a second.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Matplotlib's viridis, which its authors put into the public domain (CC0).
STOPS = (
    "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e 2c728e 297a8e "
    "26828e 23898e 21918c 1f978b 1f9f88 21a685 27ad81 31b57b 3dbc74 4cc26c 5cc863 6ece58 81d34d 95d840 "
    "aadc32 c0df25 d5e21a eae51a fde725"
)
SCALE_PERCENTILES = (1.0, 99.9)


@functools.cache
def lookup_table() -> npt.NDArray[np.uint8]:
    """Colours of 256 equally spaced values, ``[256, 3]`` RGB."""
    stops = np.array([list(bytes.fromhex(stop)) for stop in STOPS.split()], dtype=np.float64)
    positions = np.linspace(0.0, len(stops) - 1, 256)
    channels = [np.interp(positions, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def colour_scale(maps: Sequence[npt.NDArray[np.floating[Any]]]) -> tuple[float, float]:
    """Lowest and highest value of a scale that several maps share: their pixels' percentiles 1 and 99.9.

    Percentiles, so that one hot pixel does not flatten all other maps. Equal ends are moved apart.
    """
    if not maps:
        return 0.0, 1.0
    low, high = np.percentile(np.concatenate([values.ravel() for values in maps]), SCALE_PERCENTILES)
    return float(low), float(high) if high > low else float(low) + 1.0


def colourise(values: npt.NDArray[np.floating[Any]], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Colours of an anomaly map, ``[h, w]`` to ``[h, w, 3]`` uint8; values outside ``low..high`` saturate."""
    levels = np.clip((values - low) / (high - low), 0.0, 1.0) * 255.0
    return lookup_table()[np.round(levels).astype(np.uint8)]
