"""What each method of a recipe does with the shots."""

from collections.abc import Sequence

import numpy as np
import torch

from variad.features import to_tensor
from variad.generation.acceptance import distance_to_view
from variad.generation.added import AddedImages
from variad.generation.engine import Generated, to_uint8
from variad.generation.requests import Request
from variad.generation.strategies import strategy
from variad.records import Images

_BATCH = 32


def duplicate(parents: Images, requests: Sequence[Request]) -> AddedImages:
    """Repeat the shots: as many images as ``generated`` has, and nothing new."""
    return _added(parents, requests, np.zeros(len(parents), np.float32))


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
    return _added(np.concatenate(images), requests, np.concatenate(distances))


def from_generated(generated: Generated, requests: Sequence[Request], prompts: Sequence[str]) -> AddedImages:
    """The generator's images under the names of their requests; ``prompts`` are empty where no text guided."""
    added = _added(generated.images, requests, generated.distance)
    added.prompt = list(prompts)
    added.similarity, added.accepted, added.trace = generated.similarity, generated.accepted, generated.trace
    if generated.steps is not None:
        added.steps = generated.steps
        added.steps_index = np.arange(len(generated.steps), dtype=np.int64)
        added.steps_iteration = generated.steps_iteration
    return added


def _added(images: Images, requests: Sequence[Request], distance: np.ndarray) -> AddedImages:
    count = len(requests)
    return AddedImages(
        images=images,
        run=np.array([request.run for request in requests], np.int64),
        parent=[request.parent for request in requests],
        prompt=[""] * count,
        seed=np.array([request.seed for request in requests], np.uint64),
        similarity=np.full(count, np.nan, np.float32),
        distance=distance.astype(np.float32),
        accepted=np.ones(count, bool),
    )
