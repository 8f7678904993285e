"""Generated normal images as further members of a support set: made from the support images themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from variad.anomalies.support import Support
from variad.exposure.views import random_views
from variad.generation.added import read_added
from variad.generation.requests import Request, requests
from variad.records import Images
from variad.seeding import numpy_generator


def support_requests(
    support: Mapping[int, Support], per_image: float, seed: int, key: tuple[str, str]
) -> list[Request]:
    """Which images to make: ``per_image`` of every bank and seed image of every run, none of validation images."""
    parents: Mapping[int, Sequence[str]] = {run: [*one.bank, *one.seeds] for run, one in support.items()}
    return requests(parents, per_image, seed, (*key, "exposure_support"))


def added_of_run(path: str | Path, run: int) -> Images:
    """The accepted images of one run, uint8 ``[N, S, S, 3]``."""
    added = read_added(path)
    return added.images[np.flatnonzero((added.run == run) & added.accepted)]


def support_views(support: Images, count: int, seed: int, key: tuple[str, str, int]) -> Images:
    """``count`` light views of support images, ``[count, S, S, 3]``: what so many members do without a generator."""
    rounds = -(-count // len(support))
    return random_views(support, rounds, numpy_generator(seed, *key, "exposure_support_views"))[:count]
