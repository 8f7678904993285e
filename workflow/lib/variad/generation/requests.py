"""Which images a recipe has to make: how many, from which shots, with which seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from variad.seeding import torch_seed


@dataclass(frozen=True)
class Request:
    """One image to be made: the run it is for, the shot it comes from, the seed of all its random numbers."""

    run: int
    parent: str
    seed: int


def requests(
    shots: Mapping[int, Sequence[str]], images_per_shot: float, root_seed: int, key: tuple[str, ...]
) -> list[Request]:
    """Requests of every run, ``round(images_per_shot * shots)`` a run, spread evenly over its shots.

    Args:
        shots: image_ids by run, in order; a fraction of an image per shot takes the first of them.
        key: (dataset, category, scenario, training set), so that seeds differ between cells.
    """
    return [
        Request(run, parents[index % len(parents)], torch_seed(root_seed, *key, run, index))
        for run, parents in shots.items()
        for index in range(round(images_per_shot * len(parents)))
    ]
