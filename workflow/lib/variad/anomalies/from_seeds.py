"""Anomalies made from one seed image each, the seeds taking turns."""

from collections.abc import Callable, Sequence

import numpy as np

from variad.anomalies.anomaly_file import Anomaly
from variad.records import Images

Alter = Callable[[Images, str, np.random.Generator], Anomaly]


def alter_seeds(
    alter: Alter, seeds: Sequence[tuple[str, Images]], count: int, generator: np.random.Generator
) -> list[Anomaly]:
    """``count`` anomalies; no seed is used more than once more often than another.

    Args:
        alter: image uint8 ``[S, S, 3]``, its image_id and a generator to an anomaly.
        seeds: image_id and image of each.
    """
    turns = [generator.permutation(len(seeds)) for _ in range(-(-count // len(seeds)))]
    chosen = np.concatenate(turns)[:count]
    return [alter(seeds[place][1], seeds[place][0], generator) for place in chosen]
