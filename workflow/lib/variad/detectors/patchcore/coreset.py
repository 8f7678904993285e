"""Greedy k-centre coreset (PatchCore, section 3.2): keep patches so that every other one is near a kept one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating[Any]]


def greedy_coreset(points: Points, count: int, generator: np.random.Generator, device: str = "cpu") -> NDArray[np.intp]:
    """Indices ``[count]`` of a greedy k-centre selection, in the order of picking.

    The first pick is random; every further one is the point farthest from all picks so far. One pick costs one
    matrix-vector product and an update of the running minimum.

    Args:
        points: ``[N, D]`` with N >= count >= 1.
        device: where to compute; anything but ``cpu`` is torch's.
    """
    first = int(generator.integers(len(points)))
    # |x - c|^2 = |x|^2 - 2 x.c + |c|^2; centred points keep the cancellation small
    centred = points - points.mean(axis=0)
    return _pick(centred, count, first) if device == "cpu" else _pick_with_torch(centred, count, first, device)


def _pick(points: Points, count: int, first: int) -> NDArray[np.intp]:
    picks = np.empty(count, np.intp)
    picks[0] = first
    norms = np.einsum("nd,nd->n", points, points)
    nearest = np.full_like(norms, np.inf)
    distance = np.empty_like(norms)
    for step in range(1, count):
        centre = points[picks[step - 1]]
        np.dot(points, -2 * centre, out=distance)
        distance += norms
        distance += centre @ centre
        np.minimum(nearest, distance, out=nearest)
        nearest[picks[step - 1]] = -np.inf  # a pick is never taken twice, duplicates included
        picks[step] = nearest.argmax()
    return picks


def _pick_with_torch(points: Points, count: int, first: int, device: str) -> NDArray[np.intp]:
    """The same on a GPU; nothing is copied to the host within the loop."""
    import torch

    cloud = torch.from_numpy(points).to(device)
    picks = torch.empty(count, dtype=torch.long, device=device)
    picks[0] = first
    norms = cloud.square().sum(dim=1)
    nearest = torch.full_like(norms, torch.inf)
    for step in range(1, count):
        index = picks[step - 1 : step]
        centre = cloud.index_select(0, index)[0]
        torch.minimum(nearest, torch.addmv(norms, cloud, centre, alpha=-2) + centre.dot(centre), out=nearest)
        nearest.index_fill_(0, index, -torch.inf)
        picks[step] = nearest.argmax()
    return picks.cpu().numpy()


def random_projection(points: Points, dimensions: int, generator: np.random.Generator) -> Points:
    """Project ``[N, D]`` to ``[N, dimensions]`` with a Gaussian matrix; fewer dimensions than that stay as they are."""
    if points.shape[1] <= dimensions:
        return points
    matrix = generator.standard_normal((points.shape[1], dimensions)) / dimensions**0.5
    return points @ matrix.astype(points.dtype)
