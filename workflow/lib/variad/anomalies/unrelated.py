"""Pictures of something else, drawn uniformly without replacement.

Source: the second document, appendix A.1, with Tiny-ImageNet. The photographs that come with scikit-image stand in for
it by default: those of ``variad.models.open_images``, among which no evaluated category is.
"""

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from variad.anomalies.anomaly_file import Anomaly
from variad.errors import UserError
from variad.images import SUFFIXES, read_image, resize_square, to_rgb8
from variad.models.open_images import PHOTOGRAPHS
from variad.records import Images

BUNDLED = "photographs"
TILES_ACROSS, SMALLEST_TILE = 3, 96


@dataclass(frozen=True)
class Donor:
    """A picture, or a square of it.

    Attributes:
        name: says which, in the manifest.
        path: file; of a bundled photograph its name alone.
        box: top, left, side in pixels; None is the whole picture.
    """

    name: str
    path: str
    box: tuple[int, int, int] | None = None


def donors(images: str) -> list[Donor]:
    """All that can be drawn from.

    Args:
        images: ``photographs``, or a folder with images at any depth (of Tiny-ImageNet's tree, its training images).

    Raises:
        UserError: there is no such folder, or no image in it.
    """
    if images == BUNDLED:
        return [donor for name in PHOTOGRAPHS for donor in _tiles(name)]
    root = Path(images)
    below = root / "train" if (root / "wnids.txt").is_file() else root
    files = sorted(path for path in below.rglob("*") if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    if not files:
        raise UserError(f"config key images: expected '{BUNDLED}' or a folder with images, found '{images}'.")
    return [Donor(path.relative_to(root).as_posix(), str(path)) for path in files]


def unrelated(pool: Sequence[Donor], count: int, side: int, generator: np.random.Generator) -> list[Anomaly]:
    """``count`` different donors at ``side`` pixels.

    Raises:
        UserError: there are fewer.
    """
    if count > len(pool):
        raise UserError(f"config key count: expected at most {len(pool)} unrelated images, found {count}.")
    chosen = [pool[int(place)] for place in generator.choice(len(pool), count, replace=False)]
    return [Anomaly(resize_square(read_donor(donor), side), "", donor.name) for donor in chosen]


def read_donor(donor: Donor) -> Images:
    """The donor's pixels, uint8 RGB ``[h, w, 3]``."""
    if donor.box is None:
        return np.array(to_rgb8(read_image(donor.path)))
    top, left, side = donor.box
    return np.ascontiguousarray(_photograph(donor.path)[top : top + side, left : left + side])


def _tiles(name: str) -> list[Donor]:
    """Squares that fill a photograph without overlap, three across its shorter side, none below 96 px."""
    height, width = _photograph(name).shape[:2]
    side = min(height, width) // max(1, min(TILES_ACROSS, min(height, width) // SMALLEST_TILE))
    corners = [(row * side, column * side) for row in range(height // side) for column in range(width // side)]
    return [Donor(f"{name}/{place}", name, (*corner, side)) for place, corner in enumerate(corners)]


@functools.cache
def _photograph(name: str) -> Images:
    spec = importlib.util.find_spec("skimage")  # found without importing it
    if spec is None or not spec.submodule_search_locations:
        raise UserError("unrelated photographs: expected the package scikit-image to be installed, found none.")
    return np.array(to_rgb8(read_image(Path(spec.submodule_search_locations[0]) / "data" / name)))
