"""The control that adds nothing new."""

from collections.abc import Sequence

import numpy as np

from variad.generation.added import AddedImages
from variad.generation.requests import Request
from variad.records import Images


def duplicate(parents: Images, requests: Sequence[Request]) -> AddedImages:
    """Add the parents as they are, uint8 ``[M, S, S, 3]``, one a request."""
    return AddedImages.of(parents, requests, np.zeros(len(parents), np.float32))
