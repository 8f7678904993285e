"""Text and tiles on a sheet, drawn without matplotlib's start-up cost."""

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

INK: Colour = (32, 36, 42)
FAINT: Colour = (104, 112, 122)
PAPER: Colour = (255, 255, 255)
EMPTY: Colour = (236, 238, 241)
# Two of Okabe and Ito's colours, told apart with any colour blindness.
ACCEPTED: Colour = (0, 114, 178)
REJECTED: Colour = (213, 94, 0)


@functools.cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib's files (Pillow's own font lacks umlauts), found without importing matplotlib."""
    package = importlib.util.find_spec("matplotlib")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("matplotlib, whose fonts the sheets are written with, is not installed")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / name), size)


def write(
    sheet: Image.Image,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: Colour = INK,
    bold: bool = False,
    anchor: str = "la",
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


def shorten(text: str, width: int, size: int) -> str:
    """One line of text, cut with an ellipsis where it is wider than ``width`` pixels."""
    if font(size).getlength(text) <= width:
        return text
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


def frame(sheet: Image.Image, at: tuple[int, int], size: int, colour: Colour, width: int = 4) -> None:
    """Draw a frame around a tile, outside of its pixels."""
    x, y = at
    box = (x - width, y - width, x + size + width - 1, y + size + width - 1)
    ImageDraw.Draw(sheet).rectangle(box, outline=colour, width=width)
