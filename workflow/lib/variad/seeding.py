"""Random numbers that depend on what is computed, not on when or in what order.

Every generator descends from one root seed and a key such as ``("elpv", "mono", 3)``. Shots use (dataset, category,
run); everything else adds scenario and training set, so that runs are paired across training sets.
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
