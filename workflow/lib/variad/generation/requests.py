"""Which images a recipe has to make: how many, from which shots, with which seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from variad.errors import UserError
from variad.seeding import numpy_generator, torch_seed


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


def unseen(
    wanted: Sequence[Request],
    shots: Mapping[int, Sequence[str]],
    pool: Sequence[str],
    root_seed: int,
    key: tuple[str, ...],
) -> list[Request]:
    """The same requests with, in place of a shot, a real training image that the run's shots lack: none twice a run.

    Args:
        pool: image_ids of all training images.

    Raises:
        UserError: a run needs more images than there are.
    """
    found = []
    for run, own in shots.items():
        rest = sorted(set(pool) - set(own))
        mine = [request for request in wanted if request.run == run]
        if len(mine) > len(rest):
            raise UserError(
                f"{'/'.join(key)}: expected {len(mine)} training images besides the shots, found {len(rest)}."
            )
        picks = numpy_generator(root_seed, *key, run).permutation(len(rest))[: len(mine)]
        found += [replace(request, parent=rest[pick]) for request, pick in zip(mine, picks, strict=True)]
    return found
