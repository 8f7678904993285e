"""Random numbers of detectors that train a network."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def seeded(generator: np.random.Generator) -> Iterator[torch.Generator]:
    """A torch generator on the CPU that descends from ``generator``.

    Within the block torch's global generator, which initialises weights, descends from it too; afterwards it is as it
    was.
    """
    own, shared = (int(seed) for seed in generator.integers(2**63, size=2))
    with torch.random.fork_rng():
        torch.manual_seed(shared)
        yield torch.Generator().manual_seed(own)
