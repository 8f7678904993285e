"""The anomaly score of outlier exposure: how far an embedding lies from those of the support set."""

import torch
from torch import Tensor

from variad.errors import UserError

NEIGHBOURS = 3


def support_distance(embeddings: Tensor, support: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Total Euclidean distance to the closest support embeddings.

    Args:
        embeddings: of the images to score, ``[N, D]``.
        support: of the support images, ``[M, D]``.

    Returns:
        ``[N]``; higher is more anomalous.

    Raises:
        UserError: the support set has fewer images than ``neighbours``.

    Source: second document, section A.3.
    """
    if len(support) < neighbours:
        raise UserError(f"exposure: expected a support set of at least {neighbours} images, found {len(support)}.")
    # not by matrix products: they would cost digits where images are close to the support
    distances = torch.cdist(embeddings, support, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.topk(neighbours, dim=1, largest=False).values.sum(dim=1)
