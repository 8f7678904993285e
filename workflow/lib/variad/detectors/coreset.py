"""Greedy k-centre coreset (PatchCore, section 3.2): keep patches so that every other one is near a kept one."""

import torch
from torch import Tensor


def greedy_coreset(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices ``[count]`` of a greedy k-centre selection, in the order of picking.

    The first pick is random; every further one is the point farthest from all picks so far. One pick costs one
    matrix-vector product and an update of the running minimum, without a copy to the host.

    Args:
        points: ``[N, D]`` with N >= count >= 1.
        generator: CPU generator of the first pick.
    """
    first = int(torch.randint(len(points), (1,), generator=generator))
    picks = torch.empty(count, dtype=torch.long, device=points.device)
    picks[0] = first
    # |x - c|^2 = |x|^2 - 2 x.c + |c|^2; centred points keep the cancellation small
    points = points - points.mean(dim=0)
    norms = points.square().sum(dim=1)
    nearest = torch.full_like(norms, torch.inf)
    distance = torch.empty_like(norms)
    for step in range(1, count):
        index = picks[step - 1 : step]
        centre = points.index_select(0, index)[0]
        torch.addmv(norms, points, centre, alpha=-2, out=distance)
        distance += centre.dot(centre)
        torch.minimum(nearest, distance, out=nearest)
        nearest.index_fill_(0, index, -torch.inf)  # a pick is never taken twice, duplicates included
        picks[step] = nearest.argmax()
    return picks


def random_projection(points: Tensor, dimensions: int, generator: torch.Generator) -> Tensor:
    """Project ``[N, D]`` to ``[N, dimensions]`` with a Gaussian matrix; fewer dimensions than that stay as they are."""
    if points.shape[1] <= dimensions:
        return points
    matrix = torch.randn(points.shape[1], dimensions, generator=generator) / dimensions**0.5
    return points @ matrix.to(points)
