"""Anomalies that need no diffusion model: made from one seed image each, or pictures of something else.

Sources: Li et al., CutPaste: Self-Supervised Learning for Anomaly Detection and Localization (CVPR 2021), sections 2.2
and 4.1 and appendix; of unrelated pictures the second document, appendix A.1, with Tiny-ImageNet. The photographs that
come with scikit-image stand in for it by default: those of ``variad.datasets.open_images``, among which no evaluated
category is."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from variad.anomalies.anomaly_file import Anomaly
from variad.core.errors import UserError
from variad.core.files import package_folder
from variad.core.images import SUFFIXES, Images, read_image, resize_square, to_rgb8
from variad.core.records import image_side, read_images
from variad.datasets.open_images import PHOTOGRAPHS
from variad.datasets.sampling import Support

AREA = (0.02, 0.15)  # of a rectangle of ``cut_paste``, share of the image
ASPECTS = ((0.3, 1.0), (1.0, 3.3))  # ranges of its width over its height, either as likely
REFERENCE_SIDE = 256  # pixels of the image that a scar's sides are given for
WIDTH, LENGTH = (2.0, 16.0), (10.0, 25.0)  # of a scar, pixels
ANGLE = 45.0  # degrees by which a scar is turned at most, either way
JITTER = 0.1  # largest intensity of the change of colour
METHODS = ("cut_paste", "scar", "blurred", "unrelated")
BUNDLED = "photographs"
TILES_ACROSS, SMALLEST_TILE = 3, 96  # squares of a bundled photograph: across its shorter side, and pixels at least


def make_from_images(
    method: str,
    support: Mapping[int, Support],
    images: str | Path,
    count: int,
    generator_of: Callable[[int], np.random.Generator],
    *,
    resolution: int = 64,
    donor_images: str = BUNDLED,
) -> dict[int, list[Anomaly]]:
    """``count`` anomalies for each run.

    Args:
        method: one of ``METHODS``.
        images: the category's ``images.h5``.
        generator_of: the random generator of a run.
        resolution: of ``blurred``, pixels.
        donor_images: of ``unrelated``: ``photographs`` or a folder.

    Raises:
        UserError: a run has no seeds, or there are fewer images than ``count`` needs.
    """
    if method == "unrelated":
        pool, side = donors(donor_images), image_side(images)
        return {run: unrelated(pool, count, side, generator_of(run)) for run in support}

    def blurred(image: Images, image_id: str, _: np.random.Generator) -> Anomaly:
        return Anomaly(blur(image, resolution), image_id, parameters={"resolution": resolution})

    alters: dict[str, Callable[..., Anomaly]] = {"cut_paste": cut_paste, "scar": scar, "blurred": blurred}
    needed = count if method == "blurred" else 1  # blurring the same image again gives the same image
    made = {}
    for run, sets in support.items():
        if len(sets.seeds) < needed:
            found = len(sets.seeds)
            raise UserError(f"support of run {run}: expected at least {needed} seeds for {method}, found {found}.")
        seeds, generator = read_images(images, sets.seeds), generator_of(run)
        # no seed is used more than once more often than another
        turns = np.concatenate([generator.permutation(len(seeds)) for _ in range(-(-count // len(seeds)))])
        made[run] = [alters[method](seeds[place], sets.seeds[place], generator) for place in turns[:count]]
    return made


def cut_paste(image: Images, image_id: str, generator: np.random.Generator) -> Anomaly:
    """Move one rectangle of ``image`` (uint8 ``[S, S, 3]``); nothing outside of its new place changes."""
    height, width = draw_sides(image.shape[0], generator)
    cut, paste = (_corner(image.shape[0], height, width, generator) for _ in range(2))
    changed = image.copy()
    patch = image[cut[0] : cut[0] + height, cut[1] : cut[1] + width]
    changed[paste[0] : paste[0] + height, paste[1] : paste[1] + width] = jitter_patch(patch, generator)
    return Anomaly(changed, image_id, parameters={"cut": cut, "paste": paste, "height": height, "width": width})


def draw_sides(side: int, generator: np.random.Generator) -> tuple[int, int]:
    """Height and width in pixels of a rectangle in an image of ``side`` pixels."""
    area = generator.uniform(*AREA) * side**2
    aspect = generator.uniform(*ASPECTS[int(generator.integers(2))])
    height, width = np.sqrt(area / aspect), np.sqrt(area * aspect)
    return max(1, round(float(height))), max(1, round(float(width)))


def scar(image: Images, image_id: str, generator: np.random.Generator) -> Anomaly:
    """Paste one thin strip of ``image`` (uint8 ``[S, S, 3]``, S at least 32), turned, into it."""
    side = image.shape[0]
    scale = side / REFERENCE_SIDE
    width, length = (max(1, round(float(generator.uniform(*span)) * scale)) for span in (WIDTH, LENGTH))
    angle = float(generator.uniform(-ANGLE, ANGLE))
    top, left = _corner(side, length, width, generator)
    strip = jitter_patch(image[top : top + length, left : left + width], generator)
    turned, mask = _turn(strip, angle)
    height, breadth = mask.shape
    down, right = _corner(side, height, breadth, generator)
    changed = image.copy()
    changed[down : down + height, right : right + breadth][mask] = turned[mask]
    drawn = {"cut": [top, left], "paste": [down, right], "width": width, "length": length, "angle": round(angle, 2)}
    return Anomaly(changed, image_id, parameters={**drawn, "area": int(mask.sum())})


def _turn(strip: Images, angle: float) -> tuple[Images, NDArray[np.bool_]]:
    """The strip turned by ``angle`` degrees with its bounding box, and where in that box it lies."""
    inside = Image.new("L", (strip.shape[1], strip.shape[0]), 255)
    # both by the nearest pixel: interpolation would mix the border with black
    mask, turned = (
        picture.rotate(angle, Image.Resampling.NEAREST, expand=True) for picture in (inside, Image.fromarray(strip))
    )
    return np.asarray(turned), np.asarray(mask) > 0


def _corner(side: int, height: int, width: int, generator: np.random.Generator) -> tuple[int, int]:
    return int(generator.integers(side - height + 1)), int(generator.integers(side - width + 1))


def jitter_patch(patch: Images, generator: np.random.Generator) -> Images:
    """Change brightness, contrast and saturation by up to a tenth, and hue by up to a tenth of the circle.

    Args:
        patch: uint8 RGB ``[h, w, 3]``; a grey one stays grey.
    """
    picture = Image.fromarray(patch)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(float(generator.uniform(1 - JITTER, 1 + JITTER)))
    turn = round(generator.uniform(-JITTER, JITTER) * 256)
    hue, saturation, value = picture.convert("HSV").split()
    hue = Image.fromarray((np.asarray(hue).astype(np.int64) + turn).astype(np.uint8))  # wraps round: 256 parts
    return np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"))


def blur(image: Images, resolution: int) -> Images:
    """``image`` (uint8 ``[S, S, 3]``) shrunk to ``resolution`` pixels and enlarged again, bicubic.

    It is the null: what an image loses when it goes through a lower resolution should rank no detector.

    Raises:
        UserError: the resolution is not below the image's.
    """
    side = image.shape[0]
    if resolution >= side:
        raise UserError(f"config key resolution: expected less than image_size = {side} to blur, found {resolution}.")
    return resize_square(resize_square(image, resolution), side)


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
    """``count`` different donors at ``side`` pixels, drawn uniformly.

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
    folder = package_folder("skimage", "unrelated photographs", "scikit-image") / "data"
    return np.array(to_rgb8(read_image(folder / name)))
