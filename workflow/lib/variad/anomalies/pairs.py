"""Which style goes with which content."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from variad.errors import UserError


def choose_pairs(
    styles: Sequence[str], contents: Sequence[str], count: int, generator: np.random.Generator
) -> list[tuple[str, str]]:
    """``count`` different (style, content) of the full cross product, in random order.

    Source: the second document, section 4.1; half of the support set are styles, half contents [assumed].

    Raises:
        UserError: the cross product has fewer.
    """
    pairs = list(product(styles, contents))
    if count > len(pairs):
        found = f"{len(styles)} styles x {len(contents)} contents = {len(pairs)} pairs of this run's seeds"
        raise UserError(f"config key count: expected at least {count} pairs, found {found}.")
    return [pairs[int(place)] for place in generator.permutation(len(pairs))[:count]]
