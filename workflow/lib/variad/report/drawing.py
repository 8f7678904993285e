"""What sheets are drawn with: text and tiles, the colour map of anomaly maps, and a category's real images.

None of it imports matplotlib, which costs every job of a cell over a second, nor h5py before images are asked for: the
inspector draws without it.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from variad.core.errors import UserError
from variad.core.files import package_folder, writing

if TYPE_CHECKING:
    import h5py

Colour = tuple[int, int, int]
Point = tuple[int, int]  # on a sheet, pixels

INK: Colour = (32, 36, 42)
FAINT: Colour = (104, 112, 122)
PAPER: Colour = (255, 255, 255)
EMPTY: Colour = (236, 238, 241)
# Two of Okabe and Ito's colours, told apart with any colour blindness.
ACCEPTED: Colour = (0, 114, 178)
REJECTED: Colour = (213, 94, 0)
# Matplotlib's viridis, which its authors put into the public domain (CC0).
STOPS = (
    "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e 2c728e 297a8e "
    "26828e 23898e 21918c 1f978b 1f9f88 21a685 27ad81 31b57b 3dbc74 4cc26c 5cc863 6ece58 81d34d 95d840 "
    "aadc32 c0df25 d5e21a eae51a fde725"
)
SHEET_QUALITY = 65  # of a JPEG
SCALE_PERCENTILES = (1.0, 99.9)


@dataclass(frozen=True)
class TileGrid:
    """Where tiles and text stand on a sheet, pixels: the first column begins at ``left``, the first row at ``head``.

    Attributes:
        under: room under each tile, beside the gap.
    """

    tile: int
    gap: int
    left: int
    head: int
    text_width: int
    under: int = 0

    def at(self, row: int, column: int) -> Point:
        """The upper left corner of a tile."""
        step = self.tile + self.gap
        return self.left + column * step, self.head + row * (step + self.under)


@functools.cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib's files (Pillow's own font lacks umlauts), found without importing matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(
        str(package_folder("matplotlib", "fonts of the sheets") / "mpl-data/fonts/ttf" / name), size
    )


def write(
    sheet: Image.Image, at: Point, text: str, size: int, colour: Colour = INK, bold: bool = False, anchor: str = "la"
) -> None:
    """Write one line of text at ``at`` (pixels), which ``anchor`` (Pillow's) puts at its top left corner."""
    ImageDraw.Draw(sheet).text(at, text, font=font(size, bold), fill=colour, anchor=anchor)


def wrap(text: str, width: int, size: int, lines: int) -> list[str]:
    """Break text into at most ``lines`` lines of ``width`` pixels; what does not fit ends in an ellipsis."""
    broken: list[str] = []
    rest = " ".join(text.split())
    while rest and len(broken) < lines:
        fitting = _fitting(rest, width, size)
        broken.append(rest[:fitting].rstrip())
        rest = rest[fitting:].lstrip()
    if rest:
        broken[-1] = shorten(f"{broken[-1]} {rest}", width, size)
    return broken


def shorten(text: str, width: int, size: int, end: bool = False) -> str:
    """One line of text, cut with an ellipsis where it is wider than ``width`` pixels; with ``end`` its end is left."""
    if font(size).getlength(text) <= width:
        return text
    while end:
        text = text[1:]
        if font(size).getlength(f"…{text}") <= width or not text:
            return f"…{text.lstrip()}"
    while text and font(size).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _fitting(text: str, width: int, size: int) -> int:
    """How many characters fit; whole words where a word fits at all."""
    count = len(text)
    while count > 1 and font(size).getlength(text[:count]) > width:
        count -= 1
    if count == len(text):
        return count
    space = text.rfind(" ", 0, count + 1)
    return space if space > 0 else count


def tile(image: npt.NDArray[Any], size: int) -> Image.Image:
    """An RGB image ``[h, w, 3]`` uint8 as a square tile of ``size`` pixels."""
    picture = Image.fromarray(np.ascontiguousarray(image, dtype=np.uint8))
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def blank_tile(text: str, size: int) -> Image.Image:
    """A grey tile that says why there is no picture."""
    empty = Image.new("RGB", (size, size), EMPTY)
    write(empty, (size // 2, size // 2), text, 14, FAINT, anchor="mm")
    return empty


def stacked(sheets: Sequence[Image.Image]) -> Image.Image:
    """Sheets under each other, on the paper of the widest."""
    whole = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)), PAPER)
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    return whole


def save(sheet: Image.Image, target: str | Path) -> None:
    """Save a picture in one go, in the format of its suffix."""
    with writing(target) as temporary:
        sheet.save(temporary)


def save_small(sheet: str | Path, target: str | Path) -> None:
    """Save a sheet as a JPEG for the report, in a quarter of the bytes."""
    with Image.open(sheet) as whole, writing(target) as temporary:
        whole.convert("RGB").save(temporary, "JPEG", quality=SHEET_QUALITY, optimize=True)


def frame(sheet: Image.Image, at: Point, size: int, colour: Colour, width: int = 4) -> None:
    """Draw a frame around a tile, outside of its pixels."""
    x, y = at
    box = (x - width, y - width, x + size + width - 1, y + size + width - 1)
    ImageDraw.Draw(sheet).rectangle(box, outline=colour, width=width)


@functools.cache
def lookup_table() -> npt.NDArray[np.uint8]:
    """Colours of 256 equally spaced values, ``[256, 3]`` RGB."""
    stops = np.array([list(bytes.fromhex(stop)) for stop in STOPS.split()], dtype=np.float64)
    positions = np.linspace(0.0, len(stops) - 1, 256)
    channels = [np.interp(positions, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def colour_scale(maps: Sequence[npt.NDArray[np.floating[Any]]]) -> tuple[float, float]:
    """Lowest and highest value of a scale that several maps share: their pixels' percentiles 1 and 99.9.

    Percentiles, so that one hot pixel does not flatten all other maps. Equal ends are moved apart.
    """
    if not maps:
        return 0.0, 1.0
    low, high = np.percentile(np.concatenate([values.ravel() for values in maps]), SCALE_PERCENTILES)
    return float(low), float(high) if high > low else float(low) + 1.0


def colourise(values: npt.NDArray[np.floating[Any]], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Colours of an anomaly map, ``[h, w]`` to ``[h, w, 3]`` uint8; values outside ``low..high`` saturate."""
    levels = np.clip((values - low) / (high - low), 0.0, 1.0) * 255.0
    return lookup_table()[np.round(levels).astype(np.uint8)]


class RealImages:
    """Images and masks of one open ``images.h5`` or several by image_id."""

    def __init__(self, *files: "h5py.File") -> None:
        self._files = files
        self._place = {name: (file, row) for file in files for row, name in enumerate(file["image_id"].asstr()[:])}

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """One image, ``[S, S, 3]`` uint8 RGB.

        Raises:
            UserError: the category has no such image.
        """
        if image_id not in self._place:
            names = " and ".join(file.filename for file in self._files)
            raise UserError(f"{names}: expected image {image_id!r}, found no such image_id.")
        file, row = self._place[image_id]
        return np.asarray(file["images"][row])

    def mask(self, image_id: str) -> npt.NDArray[np.uint8] | None:
        """The defect's mask, ``[height, width]`` 0 or 255 at the original size, or nothing."""
        if not self.has_mask(image_id):
            return None
        return np.asarray(self._place[image_id][0]["masks"][image_id][:])

    def has_mask(self, image_id: str) -> bool:
        """Whether there is a mask, without reading it."""
        file = self._place[image_id][0] if image_id in self._place else {}
        return "masks" in file and image_id in file["masks"]


@contextmanager
def open_real_images(*paths: str | Path) -> Iterator[RealImages]:
    """Open ``images.h5`` of one split of a category, or of several."""
    import h5py

    with ExitStack() as stack:
        yield RealImages(*(stack.enter_context(h5py.File(path, "r")) for path in paths))
