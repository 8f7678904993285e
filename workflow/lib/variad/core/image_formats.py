"""Pixels of image files of any format, depth and layout, as a viewer shows them, and what a header says of them.

Pillow reads nearly all. Of 16-bit colour it keeps only the high byte, for which there is a way around; the few TIFFs
that it does not know are left to tifffile, which would need further packages for many a compression.
"""

import re
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageCms, UnidentifiedImageError

from variad.core.errors import UserError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
MAX_PIXELS = 178_956_970  # where Pillow calls an image a decompression bomb
_FAULTS = (OSError, EOFError, RuntimeError, SyntaxError, ValueError, TypeError, LookupError, OverflowError)

Pixels = npt.NDArray[Any]

_BITS, _PHOTOMETRIC, _ORIENTATION, _PLANES, _EXTRA, _SAMPLE_FORMAT = 258, 262, 274, 284, 338, 339  # TIFF tags


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """An image whose header is read.

    Raises:
        UserError: the file is missing, empty, damaged (also while its pixels are read), too large, or no image.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns from half the limit on; line-scan cameras do make such images.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with _open(path) as image:
                if 0 in image.size:
                    raise UserError(f"{path}: expected an image with pixels, found {image.size[0]} x {image.size[1]}.")
                yield image
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: expected an image of at most {MAX_PIXELS:,} pixels, found a larger one.") from error
    except UnidentifiedImageError as error:
        found = "an empty file" if Path(path).stat().st_size == 0 else "a damaged file or another format"
        raise UserError(f"{path}: expected an image ({', '.join(FORMATS)}), found {found}.") from error
    except (*_FAULTS, struct.error, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: expected a readable image, found: {str(reason).rstrip('.')}.") from error


def pixels_of(path: str | Path, image: Image.Image, alpha: bool = False) -> Pixels:
    """Upright pixels of an opened image, ``[H, W]`` if it is grey, else ``[H, W, 3]`` RGB; 32 bits as they are stored.

    Args:
        alpha: keep the alpha of images that have some as a last channel.

    Raises:
        UserError: 16-bit colour of another layout than RGB.
    """
    tags, turned = _tags(image), orientation(image)
    image = image.convert("LA") if image.mode == "La" else image
    if image.mode in ("I", "F"):
        pixels = np.asarray(image)
    elif image.mode.startswith("I;16"):
        pixels = np.asarray(image).astype(np.uint16)
        pixels = 65535 - pixels if tags.get(_PHOTOMETRIC) == 0 else pixels
    elif is_deep(image) and tags.get(_PLANES) == 2:  # the way around Pillow would give wrong values
        return _by_tifffile(path, ("YXS", "SYX"))[..., : 4 if alpha and image.has_transparency_data else 3]
    elif is_deep(image):
        pixels = _deep_colour(path, image)
        pixels = pixels if alpha else pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
    elif alpha and image.has_transparency_data:
        pixels = np.asarray(image.convert("RGBA"))
    else:
        wanted = "L" if image.mode in ("1", "L", "LA") else "RGB"
        pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))  # which copies in any case
    return upright(pixels, turned)


def is_deep(image: Image.Image) -> bool:
    """Whether its channels have 9 to 16 bits."""
    return image.mode.startswith("I;16") or ";16" in _raw_mode(image) or 16 in _tags(image).get(_BITS, ())


def sample_type(image: Image.Image) -> str:
    """The type of a stored value, such as uint8, int16 or float32."""
    tags = _tags(image)
    kind = {1: "uint", 2: "int", 3: "float"}[tags.get(_SAMPLE_FORMAT, (1,))[0]]
    return str(image.info.get("sample_type", f"{kind}{tags.get(_BITS, (8,))[0]}"))


def orientation(image: Image.Image) -> int:
    """How pixels have still to be turned, from 1 (not at all) to 8, as EXIF counts."""
    # Pillow turns TIFFs itself. Asking a PNG in its own way for EXIF would decode all of it.
    found = 1 if image.format == "TIFF" else Image.Image.getexif(image).get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn pixels ``[H, W, ...]`` as EXIF's orientation says."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    down, right = -1 if orientation in (3, 4, 7, 8) else 1, -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::down, ::right])


def pages(image: Image.Image) -> int:
    """The number of pages or frames."""
    return int(getattr(image, "n_frames", 1))


def is_lossy(path: str | Path, image: Image.Image) -> bool:
    """Whether its compression changes values."""
    if image.format == "WEBP":  # the letters that begin a lossy picture in it, which Pillow does not tell
        return b"VP8 " in Path(path).read_bytes()
    return image.format in ("JPEG", "MPO") or "jpeg" in str(image.info.get("compression"))


def notes_of(image: Image.Image) -> list[str]:
    """What ``pixels_of`` leaves out or changes without ``alpha``, as phrases."""
    tags, profile = _tags(image), image.info.get("icc_profile")
    turned = tags.get(_ORIENTATION, 1) if image.format == "TIFF" else orientation(image)
    gamma = image.info.get("gamma", 1 / 2.2)  # of a PNG
    name = _profile_name(profile) if profile else "sRGB"
    unused = 0 if image.has_transparency_data else len(tags.get(_EXTRA, ()))
    count, kind = pages(image), "pages" if image.format == "TIFF" else "frames"
    found = {
        f"has {count} {kind}, the first is used": count > 1,
        f"is turned upright by its EXIF orientation ({turned})": turned in range(2, 9),
        "has transparency, which is dropped": image.has_transparency_data,
        f"has {unused} more than its colour channels, not used": unused > 0,
        "is CMYK, turned to RGB without a colour profile": image.mode == "CMYK",
        f"carries a colour profile that is not applied ({name})": "srgb" not in name.lower(),
        f"carries a gamma of {gamma:g} that is not applied": not profile and abs(gamma - 1 / 2.2) > 0.01,
    }
    return [note for note, applies in found.items() if applies]


def _profile_name(profile: bytes) -> str:
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError):
        return "damaged"


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0].args
    return str(arguments if isinstance(arguments, str) else (arguments or ("",))[0])


def _deep_colour(path: str | Path, image: Image.Image) -> Pixels:
    """Pillow keeps only the high byte of 16-bit colour. Told the other byte order, it gives the low byte."""
    mode = _raw_mode(image)
    if mode == "LA;16B":  # grey with alpha: its four bytes a pixel are read as if they were RGBA
        parts = np.asarray(_as_raw_mode(image, "RGBA")).astype(np.uint16)
        return parts[..., ::2] * 256 + parts[..., 1::2]
    match = re.fullmatch(r"(RGB|RGBA|RGBX);16([LBN])", mode)
    if match is None:
        raise UserError(f"{path}: expected 16-bit grey, RGB or RGBA, found the layout {mode}.")
    native = "L" if sys.byteorder == "little" else "B"
    order = native if match[2] == "N" else match[2]
    high = np.asarray(image).astype(np.uint16)
    with opened(path) as again:
        low = np.asarray(_as_raw_mode(again, f"{match[1]};16{'B' if order == 'L' else 'L'}"))
    return high * 256 + low


def _as_raw_mode(image: Image.Image, mode: str) -> Image.Image:
    tiles = image.tile  # type: ignore[attr-defined]
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=mode if isinstance(tile.args, str) else (mode, *tile.args[1:])) for tile in tiles
    ]
    return image


def _open(path: str | Path) -> Image.Image:
    try:
        image = Image.open(path, formats=FORMATS)
        image.filename = ""  # else Pillow maps grey TIFFs into memory: wrong values with the orientations 5 to 8
        return image
    except UnidentifiedImageError:
        with open(path, "rb") as file:
            if file.read(2) not in (b"II", b"MM"):
                raise
    values = _by_tifffile(path, ("YX",))
    found = Image.fromarray(values if values.dtype in (np.uint8, np.uint16) else values.astype(np.float32))
    found.info["sample_type"] = str(values.dtype)
    return found


def _by_tifffile(path: str | Path, axes: tuple[str, ...]) -> Pixels:
    """Upright pixels of a grey or RGB TIFF, ``[H, W]`` or ``[H, W, C]``, as stored but for white-is-zero."""
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            if page.imagewidth * page.imagelength > MAX_PIXELS:
                raise Image.DecompressionBombError
            known = (0, 1, 2) if page.sampleformat == 1 else (1, 2)  # what is white of signed values or fractions?
            if page.axes not in axes or page.photometric not in known or 1 in page.extrasamples:
                kind = getattr(page.photometric, "name", page.photometric)
                raise UserError(
                    f"{path}: expected a TIFF of a common layout (grey, RGB, CMYK or palette colours, 8 or 16 bits), "
                    f"found {page.samplesperpixel} x {page.dtype} ({kind}); save it as PNG."
                )
            values = page.asarray()
            values = np.moveaxis(values, 0, 2) if page.axes == "SYX" else values
            if page.photometric == 0:
                values = np.iinfo(values.dtype).max - values
            return upright(values, page.tags.valueof(_ORIENTATION, 1))
    except (tifffile.TiffFileError, TypeError, LookupError) as error:
        raise UnidentifiedImageError(str(error)) from error
