"""What decides how images are generated, in the config's words, and which images a recipe has to make."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from variad.core.errors import UserError
from variad.core.files import write_text
from variad.core.seeding import numpy_generator, torch_seed

ROTATIONS = "rotations"  # the strategy that turns shots; how many images it adds follows from its angles
STEP = 15.0  # degrees between two of its copies, where a recipe does not say: every 45 degrees gain nothing on a screw


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


@dataclass(frozen=True)
class Turn:
    """How strategy ``rotations`` lays an image: mirrored (left to right) or not, then turned anticlockwise."""

    degrees: float
    mirrored: bool = False


def turns(step: float, mirror: bool = False) -> list[Turn]:
    """All of a circle in steps of so many degrees but the image itself; with ``mirror`` the mirrored image's, too."""
    angles = [place * step for place in range(math.ceil(360 / step))]
    return [Turn(angle, mirrored) for mirrored in ((False, True) if mirror else (False,)) for angle in angles][1:]


def turns_images(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe of the config makes turned copies; one that augments nothing does not heed its strategy."""
    return recipe.get("strategy") == ROTATIONS and made_by(recipe) == "augment"


def turns_of(recipe: Mapping[str, Any]) -> list[Turn]:
    """The turned copies that a recipe of the config makes of an image, none where it makes no such copies."""
    return turns(recipe["angles"], recipe["mirror"]) if turns_images(recipe) else []


def asks_for_turning(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe of the config turns images only where the product turns."""
    return turns_images(recipe) and recipe["rotations"] == "auto"


def turns_candidates(recipe: Mapping[str, Any]) -> str:
    """Whether a recipe of the config compares candidates with turned ones, too: ``auto``, ``never`` or ``always``."""
    return str(recipe.get("turns", "auto")) if takes_unlabelled(recipe) else "never"


def needs_turning(recipe: Mapping[str, Any]) -> bool:
    """Whether anything of a recipe of the config depends on whether the product turns."""
    return asks_for_turning(recipe) or turns_candidates(recipe) == "auto"


@dataclass(frozen=True)
class Turning:
    """Whether a product lies at any angle, as unlabelled photographs say (``variad.selection.turning``).

    Attributes:
        turns: whether it does, so that turned copies are worth adding and photographs are compared with turned ones.
        ratio: how far patches are from turned copies, relative to how far they are from unturned ones; None if there
            was nothing to compare with.
        limit: a product turns whose ratio is below it.
        candidates: unlabelled photographs that were looked at.
        shots: ratio by the image_id of each shot.
        sentence: all of it in words.
    """

    turns: bool
    ratio: float | None
    limit: float
    candidates: int
    shots: Mapping[str, float]
    sentence: str

    def write(self, path: str | Path) -> None:
        """Write ``turning.json``; see ``docs/data_contracts.md``."""
        write_text(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what ``write`` wrote."""
        return cls(**json.loads(Path(path).read_text("utf-8")))


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
