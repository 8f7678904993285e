"""Exact nearest neighbours in a memory bank."""

import faiss
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_BLOCK = 4096


def nearest(queries: Vectors, bank: Vectors, count: int = 1, device: str = "cpu") -> tuple[Vectors, NDArray[np.int64]]:
    """Euclidean distances and indices of the ``count`` nearest bank vectors, each ``[Q, count]``, nearest first.

    Candidates come from the expanded square; their distances are then computed from the differences, so that they do
    not suffer from cancellation.

    Args:
        queries: float32 ``[Q, D]``.
        bank: float32 ``[M, D]``, M >= count.
        device: where to search; anything but ``cpu`` is torch's.
    """
    # with centred vectors |q|^2 + |m|^2 - 2 q.m cancels less, so that the candidates are the right ones
    centre = bank.mean(axis=0)
    search = _search if device == "cpu" else _search_with_torch
    index = search(queries - centre, bank - centre, count, device)
    distance = np.stack([np.linalg.norm(queries - bank[index[:, column]], axis=1) for column in range(count)], axis=1)
    order = distance.argsort(axis=1, kind="stable")
    return np.take_along_axis(distance, order, axis=1), np.take_along_axis(index, order, axis=1)


def _search(queries: Vectors, bank: Vectors, count: int, device: str) -> NDArray[np.int64]:
    flat = faiss.IndexFlatL2(bank.shape[1])
    flat.add(np.ascontiguousarray(bank))
    index: NDArray[np.int64] = flat.search(np.ascontiguousarray(queries), count)[1]
    return index


def _search_with_torch(queries: Vectors, bank: Vectors, count: int, device: str) -> NDArray[np.int64]:
    import torch

    stored = torch.from_numpy(bank).to(device)
    norms = stored.square().sum(dim=1)
    blocks = [
        torch.addmm(norms, block, stored.T, alpha=-2).topk(count, dim=1, largest=False).indices
        for block in torch.from_numpy(queries).to(device).split(_BLOCK)
    ]
    return torch.cat(blocks).cpu().numpy()
