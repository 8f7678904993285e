"""What a person sees of a photograph: a small picture, a small map, and a heat map with its regions."""

import os
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from variad.core.errors import UserError
from variad.core.files import writing
from variad.report.drawing import PAPER, REJECTED, colourise

if TYPE_CHECKING:
    from variad.inspect.inspector import Inspection, Inspector
    from variad.inspect.regions import Region

THUMBNAIL, MAP_SIDE = 192, 48  # pixels of the longer side
COMPARED = 32  # pixels a side of pictures that are compared
QUALITY = 75
LONGEST_NAME, KEPT_OF_NAME = 255, 200  # bytes: of a file's name, and of one that is too long
LARGEST = 2048  # pixels of a heat map's longer side; it is smooth, and a larger photograph says no more under it
STRONGEST = 0.7  # share of the map's colour where it is at the end of its scale


class MapScale(NamedTuple):
    """Values of a map where its colours begin, and where they end."""

    low: float
    high: float


def scale_of(inspector: "Inspector") -> MapScale | None:
    """The colours' scale of all photographs of a bundle, as of ``scale_above``."""
    return scale_above(inspector.answers.pixel, inspector.bundle.held_out.peak)


def scale_above(threshold: float | None, peaks: NDArray[np.float64]) -> MapScale | None:
    """A scale that begins at the median of held-out maps' peaks, and has the threshold of regions at its first quarter.

    None where nothing was held out, or all peaks are alike.
    """
    if threshold is None or not len(peaks):
        return None
    low = float(np.median(peaks))
    return MapScale(low, low + 4 * (threshold - low)) if threshold > low else None


def shrunk_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Height and width at most ``longest``, at least 1, in the same ratio."""
    factor = min(1.0, longest / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def thumbnail(image: NDArray[np.uint8], height: int, width: int) -> bytes:
    """A small JPEG of a photograph in its own ratio.

    Args:
        image: ``[h, w, 3]``, maybe squashed.
        height, width: of the photograph.
    """
    rows, columns = shrunk_size(height, width, THUMBNAIL)
    stream = BytesIO()
    picture = Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC)
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def small_map(inspector: "Inspector", found: "Inspection") -> NDArray[np.float32]:
    """The anomaly map, smoothed as at full size, with at most 48 samples a side."""
    height, width = shrunk_size(found.height, found.width, MAP_SIDE)
    return inspector.anomaly_map(replace(found, height=height, width=width))


def nearest_good(image: NDArray[np.uint8], good: NDArray[np.uint8]) -> int | None:
    """Which of K small pictures is most like a photograph, by the mean absolute difference of their pixels.

    Args:
        image: ``[h, w, 3]``; good: ``[K, s, s, 3]``.
    """
    if not len(good):
        return None
    side = min(COMPARED, good.shape[1])
    small, *others = (
        np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BOX), np.float32)
        for one in (image, *good)
    )
    return int(np.argmin([np.abs(other - small).mean() for other in others]))


def heat_map(
    inspector: "Inspector",
    found: "Inspection",
    pixels: NDArray[np.uint8],
    regions: "Sequence[Region]",
    scale: MapScale | None,
) -> Image.Image:
    """The photograph in grey under its map, where that is above the scale's beginning, and a box for each region.

    It has the photograph's own size, or 2048 pixels on the longer side if that is larger.

    Args:
        pixels: of the photograph, ``[H, W, 3]``.
        scale: None takes the lowest and highest value of this map.
    """
    height, width = shrunk_size(found.height, found.width, LARGEST)
    picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX)
    values = inspector.anomaly_map(replace(found, height=height, width=width))
    low, high = scale or (float(values.min()), max(float(values.max()), float(values.min()) + 1e-12))
    sheet = Image.fromarray(laid_over(np.asarray(picture), values, low, high))
    draw_boxes(sheet, regions, width / found.width)
    return sheet


def heat_map_name(photograph: str, mark: object) -> str:
    """The photograph's path and ``.png``; one whose name would be too long is cut, and told by a mark of its own."""
    path = Path(f"{photograph}.png")
    name = os.fsencode(path.name)
    if len(name) <= LONGEST_NAME:
        return str(path)
    return str(path.with_name(f"{name[:KEPT_OF_NAME].decode('utf-8', 'ignore')}~{mark}.png"))


def save_heat_map(target: str | Path, sheet: Image.Image) -> None:
    """Write a heat map as PNG, in one go.

    Raises:
        UserError: there is no room.
    """
    try:
        with writing(target) as temporary:
            sheet.save(temporary, "PNG", compress_level=1)
    except OSError as error:
        raise UserError(f"{target}: expected to write a heat map, found: {error.strerror or error}.") from error


def laid_over(image: NDArray[np.uint8], values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """A map ``[h, w]`` over the greyed image ``[h, w, 3]``: the higher it is, the more of its colour."""
    grey = image.astype(np.float32).mean(axis=2, keepdims=True)
    share = STRONGEST * np.sqrt(np.clip((values - low) / (high - low), 0, 1))[..., None]
    return np.round((1 - share) * grey + share * colourise(values, low, high)).astype(np.uint8)


def draw_boxes(sheet: Image.Image, regions: "Sequence[Region]", factor: float) -> None:
    """Frame the regions of a photograph on a picture of it that is ``factor`` times as large."""
    draw, line = ImageDraw.Draw(sheet), max(1, round(max(sheet.size) / 400))
    for region in regions:
        corners = (region.left, region.top, region.left + region.width, region.top + region.height)
        left, top, right, bottom = (round(corner * factor) for corner in corners)
        # outside of what it frames, white around orange, so that it is seen on any photograph
        for distance, colour in ((2 * line, PAPER), (line, REJECTED)):
            box = (
                left - distance,
                top - distance,
                max(right, left + 1) + distance - 1,
                max(bottom, top + 1) + distance - 1,
            )
            draw.rectangle(box, outline=colour, width=line)
