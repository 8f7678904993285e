"""Reading any image file, at its own bit depth, and bringing it to 8-bit RGB at one size.

Alpha is dropped: a pixel keeps the colour that is stored under its transparency, as in ``Image.convert("RGB")``, which
the field's loaders use. Palettes and CMYK become RGB, EXIF orientation is applied, only the first page or frame is
read, colour profiles are ignored.
"""

import re
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from variad.core.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
MAX_PIXELS = 178_956_970  # where Pillow calls an image a decompression bomb

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Raw = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Images = npt.NDArray[np.uint8]  # RGB, [N, S, S, 3]
FeatureMaps = dict[str, npt.NDArray[np.float32]]  # by layer, [N, h, w, C]


def read_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an image as it is seen, from its header alone.

    Raises:
        UserError: the file is missing, empty, too large or no image.
    """
    with _opened(path) as image:
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


def is_16_bit(path: str | Path) -> bool:
    """Whether ``read_image`` gives uint16, from the header alone."""
    with _opened(path) as image:
        return image.mode.startswith("I;16") or ";16" in _raw_mode(image)


def read_image(path: str | Path) -> Raw:
    """Read an image as uint8 or uint16, ``[H, W]`` if it is grey, else ``[H, W, 3]`` RGB.

    Raises:
        UserError: the file is missing, empty, truncated, too large, no image, or has other than 8 or 16 bits.
    """
    with _opened(path) as image:
        orientation = _orientation(image)
        if image.mode.startswith("I;16"):
            return np.asarray(_upright(image, orientation)).astype(np.uint16)
        if ";16" in _raw_mode(image):
            return _read_16_bit_colour(path, image, orientation)
        if image.mode in ("I", "F"):
            raise UserError(f"{path}: expected 8 or 16 bits a channel, found 32 bits; save it as 16-bit PNG or TIFF.")
        grey = image.mode in ("1", "L", "LA", "La")
        return np.asarray(_upright(image.convert("L" if grey else "RGB"), orientation))


def read_mask(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read a ground-truth mask at its own size: 255 where any channel is above 0, else 0, ``[H, W]``.

    Args:
        path: an image, or a folder of images of one size, which are joined.

    Raises:
        UserError: as ``read_image`` and ``mask_files``, or the masks of a folder differ in size.
    """
    first, *others = mask_files(path)
    joined = _marked(first)
    for file in others:
        marked = _marked(file)
        if marked.shape != joined.shape:
            height, width = joined.shape
            raise UserError(
                f"{file}: expected a mask of the size of the others of its folder, {height} x {width} px "
                f"(height x width), found {marked.shape[0]} x {marked.shape[1]}."
            )
        joined |= marked
    return np.where(joined, 255, 0).astype(np.uint8)


def mask_files(path: str | Path) -> list[Path]:
    """The files of a mask: the image itself, or the images of a folder by name.

    Raises:
        UserError: the folder holds no image.
    """
    if not Path(path).is_dir():
        return [Path(path)]
    files = sorted(file for file in Path(path).iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] != ".")
    if not files:
        raise UserError(f"{path}: expected masks ({', '.join(SUFFIXES)}), found none.")
    return files


def to_rgb8(raw: Raw, low: float = 0.0, high: float = 65535.0) -> npt.NDArray[np.uint8]:
    """Bring an image to uint8 RGB ``[H, W, 3]``.

    uint16 goes linearly from ``[low, high]`` to ``[0, 255]`` and is clipped; uint8 keeps its values.
    """
    if raw.dtype == np.uint16:
        scaled = (raw.astype(np.float32) - low) * (255.0 / max(high - low, 1.0))
        raw = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    grey = raw.ndim == 2
    return np.repeat(raw[..., None], 3, axis=2) if grey else raw  # type: ignore[return-value]


def resize_square(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize uint8 RGB ``[H, W, 3]`` to ``[size, size, 3]``, bicubic, with antialiasing where it shrinks.

    An image that is not square is squashed, as pipelines for MVTec AD do, so that no part of the object is cut off.
    """
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def _marked(path: Path) -> npt.NDArray[np.bool_]:
    raw = read_image(path)
    return np.asarray(raw.any(axis=2) if raw.ndim == 3 else raw > 0)


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            # Pillow warns from half the limit on; line-scan cameras do make such images.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if 0 in image.size:
                    raise UserError(f"{path}: expected an image with pixels, found {_by(image.size)}.")
                yield image
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: expected an image of at most {MAX_PIXELS:,} pixels, found a larger one.") from error
    except UnidentifiedImageError as error:
        found = "an empty file" if Path(path).stat().st_size == 0 else "a damaged file or another format"
        raise UserError(f"{path}: expected an image ({', '.join(FORMATS)}), found {found}.") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: expected a readable image, found: {str(reason).rstrip('.')}.") from error


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _orientation(image: Image.Image) -> int:
    # Pillow turns TIFFs itself. Asking a PNG for EXIF that is not in its header would decode all of it.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    return int(image.getexif().get(0x0112, 1))


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0].args
    mode = arguments if isinstance(arguments, str) else (arguments or ("",))[0]
    # Pillow reads the planes of an uncompressed planar TIFF as if they had 8 bits.
    planar = image.format == "TIFF" and len(str(mode)) == 1 and 16 in getattr(image, "tag_v2", {}).get(258, ())
    return f"{mode};16" if planar else str(mode)


def _read_16_bit_colour(path: str | Path, image: Image.Image, orientation: int) -> npt.NDArray[np.uint16]:
    """Pillow keeps only the high byte of 16-bit colour. Told the other byte order, it gives the low byte."""
    mode = _raw_mode(image)
    if mode == "LA;16B":  # grey with alpha: its four bytes a pixel are read as if they were RGBA
        parts = np.asarray(_upright(_as_raw_mode(image, "RGBA"), orientation)).astype(np.uint16)
        return (parts[..., 0] * 256 + parts[..., 1]).astype(np.uint16)
    match = re.fullmatch(r"(RGB|RGBA|RGBX);16([LBN])", mode)
    if match is None:
        raise UserError(f"{path}: expected 16-bit grey, RGB or RGBA, interleaved, found the layout {mode}.")
    native = "L" if sys.byteorder == "little" else "B"
    order = native if match[2] == "N" else match[2]
    high = np.asarray(_upright(image, orientation))[..., :3].astype(np.uint16)
    with _opened(path) as again:
        low = np.asarray(_upright(_as_raw_mode(again, f"{match[1]};16{'B' if order == 'L' else 'L'}"), orientation))
    return (high * 256 + low[..., :3]).astype(np.uint16)


def _as_raw_mode(image: Image.Image, mode: str) -> Image.Image:
    tiles = image.tile  # type: ignore[attr-defined]
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=mode if isinstance(tile.args, str) else (mode, *tile.args[1:])) for tile in tiles
    ]
    return image
