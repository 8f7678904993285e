"""Exact nearest neighbours in a memory bank."""

import faiss
import torch
from torch import Tensor

_BLOCK = 4096


def nearest(queries: Tensor, bank: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """Euclidean distances and indices of the ``count`` nearest bank vectors, each ``[Q, count]``, nearest first.

    Candidates come from the expanded square; their distances are then computed from the differences, so that they do
    not suffer from cancellation.

    Args:
        queries: float32 ``[Q, D]``.
        bank: float32 ``[M, D]`` on the same device, M >= count.
    """
    index = _search_faiss(queries, bank, count) if queries.device.type == "cpu" else _search(queries, bank, count)
    distance = torch.empty(index.shape, dtype=queries.dtype, device=queries.device)
    for column in range(count):
        torch.linalg.vector_norm(queries - bank[index[:, column]], dim=1, out=distance[:, column])
    distance, order = distance.sort(dim=1, stable=True)
    return distance, index.gather(1, order)


def _search_faiss(queries: Tensor, bank: Tensor, count: int) -> Tensor:
    # with centred vectors |q|^2 + |m|^2 - 2 q.m cancels less, so that the candidates are the right ones
    centre = bank.mean(dim=0)
    flat = faiss.IndexFlatL2(bank.shape[1])
    flat.add((bank - centre).contiguous().numpy())
    _, index = flat.search((queries - centre).contiguous().numpy(), count)
    return torch.from_numpy(index)


def _search(queries: Tensor, bank: Tensor, count: int) -> Tensor:
    centre = bank.mean(dim=0)
    centred = bank - centre
    norms = centred.square().sum(dim=1)
    blocks = [
        torch.addmm(norms, block, centred.T, alpha=-2).topk(count, dim=1, largest=False).indices
        for block in (queries - centre).split(_BLOCK)
    ]
    return torch.cat(blocks)
