"""Random numbers that depend on what is computed, not on when or in what order.

Every generator descends from one root seed and a key such as ``("elpv", "mono", 3)``. What a key leaves out shares its
draws:

- shots: data set, category, run, so that a smaller scenario's are the first of a larger one's;
- resamples of the bootstrap of gains: data set, category, scenario, detector;
- an added image: data set, category, scenario, training set, run, its number in the run;
- the training of a detector: data set, category, scenario, training set, detector, run;
- support sets and synthetic anomalies, and what selection and exposure fit: data set, category, run, and a purpose.

So runs of two training sets are paired by shots, test images and resamples. They are not paired by added images, nor by
the start and order of a training: even ``original`` and ``duplicated`` begin elsewhere, and what that is worth is part
of the spread of a gain.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_sequence(root: int, *key: str | int) -> np.random.SeedSequence:
    """The seed sequence of a key below the root seed; equal keys give equal sequences on any machine."""
    words = [int.from_bytes(hashlib.sha256(str(part).encode()).digest()[:8], "little") for part in key]
    return np.random.SeedSequence(entropy=root, spawn_key=tuple(words))


def numpy_generator(root: int, *key: str | int) -> np.random.Generator:
    """A NumPy generator for a key."""
    return np.random.default_rng(seed_sequence(root, *key))


def torch_seed(root: int, *key: str | int) -> int:
    """A 63-bit seed for ``torch.Generator.manual_seed``."""
    return int(seed_sequence(root, *key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def torch_generator(root: int, *key: str | int) -> "torch.Generator":
    """A CPU torch generator for a key. Draw on the CPU and move: devices then agree."""
    import torch

    return torch.Generator().manual_seed(torch_seed(root, *key))
