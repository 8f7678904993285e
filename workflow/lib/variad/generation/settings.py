"""What decides how images are generated, in the config's words, and which images a recipe has to make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from variad.core.errors import UserError
from variad.core.seeding import numpy_generator, torch_seed


@dataclass(frozen=True)
class GenerationSettings:
    """A recipe of method ``generate``; names, meanings and units are those of the config.

    ``guidance`` of zero or no iterations leave the text out.
    """

    view: str
    form: str
    sigma: str
    noise_scale: float
    iterations: int
    learning_rate: float
    anchor: float
    guidance: float
    cutouts: int
    precision: str
    output: str
    min_similarity_gain: float | None
    max_distance: float | None
    batch_size: int | None

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> Self:
        """The settings among a recipe's keys."""
        return cls(**{field.name: recipe[field.name] for field in fields(cls)})

    @property
    def guided(self) -> bool:
        """Whether a text has any influence."""
        return is_guided({"method": "generate", **vars(self)})


def takes_unlabelled(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe of the config adds photographs that were chosen among unlabelled ones."""
    return recipe["method"] in ("unlabelled", "unlabelled_generated")


def made_by(recipe: Mapping[str, Any]) -> str:
    """The method that makes a recipe's images, ``none`` where it makes none.

    That of ``unlabelled_generated`` is its key ``then``, as the photographs themselves are chosen and not made.
    """
    others = {"unlabelled": "none", "unlabelled_generated": recipe.get("then")}
    return str(others.get(recipe["method"], recipe["method"]))


def images_per_parent(recipe: Mapping[str, Any], scenario: str) -> float:
    """Images that a recipe makes of each shot, or of each shot and chosen photograph."""
    if made_by(recipe) == "none":
        return 0
    if takes_unlabelled(recipe):
        return float(recipe["images_per_image"])
    return float(recipe["images_per_shot"][scenario])


def is_guided(recipe: Mapping[str, Any]) -> bool:
    """Whether a text has any influence on the images of a recipe of the config, whatever its method."""
    return made_by(recipe) == "generate" and recipe["guidance"] > 0 and recipe["iterations"] > 0


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


def as_many_as_pool(good: int, shots: Mapping[int, Sequence[str]], pool: Sequence[str]) -> float:
    """Images per shot that make up as many real images a run as a data set's pool has good ones, or all that are left.

    Args:
        good: good images of the pool.
        shots: image_ids by run, as many in each.
        pool: image_ids of all training images.
    """
    each = len(next(iter(shots.values())))
    return min(good, len(pool) - each) / each


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
