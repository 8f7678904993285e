"""The controls that change the shots by classical augmentation."""

from collections.abc import Sequence

import numpy as np
import torch

from variad.generation.acceptance import distance_to_view
from variad.generation.added import AddedImages
from variad.generation.requests import Request
from variad.generation.strategies import strategy
from variad.pixels import to_tensor, to_uint8
from variad.records import Images

_BATCH = 32


def augment(parents: Images, requests: Sequence[Request], name: str) -> AddedImages:
    """Change each parent ``[M, S, S, 3]`` by the classical strategy ``name``."""
    apply = strategy(name)
    images, distances = [], []
    for start in range(0, len(parents), _BATCH):
        rows = slice(start, start + _BATCH)
        batch = to_tensor(parents[rows])
        changed = apply(batch, [torch.Generator().manual_seed(request.seed) for request in requests[rows]])
        images.append(to_uint8(changed))
        distances.append(distance_to_view(changed, batch).numpy())
    return AddedImages.of(np.concatenate(images), requests, np.concatenate(distances))
