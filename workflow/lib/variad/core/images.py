"""Reading any image file, at its own bit depth, and bringing it to 8-bit RGB at one size; and masks, which label tools
write in every way that an image file allows.

Pixels are what a viewer shows: palettes, CMYK, YCbCr and CIELAB become RGB, white-is-zero is turned, EXIF orientation
applied. Alpha is dropped: a pixel keeps the colour that is stored under its transparency, as in
``Image.convert("RGB")``, which the field's loaders use. Only the first page or frame is read, colour profiles are
ignored; ``read_notes`` says where that leaves something out.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from variad.core.errors import UserError
from variad.core.image_formats import (
    is_deep,
    is_lossy,
    notes_of,
    opened,
    orientation,
    pages,
    pixels_of,
    sample_type,
    upright,
)

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

_VOC_VOID = (224, 224, 192)  # PASCAL VOC's colour of pixels that are neither background nor object
_DARKEST_LOSSY = 32  # a lossy mask whose marks are darker cannot be told from the errors of its compression

Raw = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Images = npt.NDArray[np.uint8]  # RGB, [N, S, S, 3]
FeatureMaps = dict[str, npt.NDArray[np.float32]]  # by layer, [N, h, w, C]


class Tiles(NamedTuple):
    """Squares that a network sees a large image in, one after another; pixels of the image as it sees it."""

    size: int
    overlap: int


def read_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an image as it is seen, from its header alone.

    Raises:
        UserError: the file is missing, empty, too large or no image.
    """
    with opened(path) as image:
        width, height = image.size
        return (width, height) if orientation(image) >= 5 else (height, width)


def is_16_bit(path: str | Path) -> bool:
    """Whether ``read_image`` gives uint16, from the header alone."""
    with opened(path) as image:
        return is_deep(image)


def read_notes(path: str | Path) -> list[str]:
    """What ``read_image`` leaves out or changes of a file, from its header: phrases such as "has 3 pages, the first is
    used".

    Raises:
        UserError: as ``read_size``.
    """
    with opened(path) as image:
        return notes_of(image)


class Square(NamedTuple):
    """An image at one size, uint8 RGB ``[S, S, 3]``; its own size upright, pixels; and whether it has 8 or 16 bits."""

    image: npt.NDArray[np.uint8]
    height: int
    width: int
    bits: int


def read_square(path: str | Path, size: int, low: float = 0.0, high: float = 65535.0) -> Square:
    """``resize_square(to_rgb8(read_image(path), low, high), size)``, of common files with a third of the memory.

    Raises:
        UserError: as ``read_image``.
    """
    with opened(path) as image:
        if image.mode in ("L", "RGB") and not is_deep(image) and orientation(image) == 1:
            width, height = image.size
            picture = image if (width, height) == (size, size) else image.resize((size, size), Image.Resampling.BICUBIC)
            return Square(to_rgb8(np.asarray(picture)), height, width, 8)
    raw = read_image(path)
    return Square(resize_square(to_rgb8(raw, low, high), size), raw.shape[0], raw.shape[1], 8 * raw.itemsize)


def read_image(path: str | Path) -> Raw:
    """Read an image as uint8 or uint16, ``[H, W]`` if it is grey, else ``[H, W, 3]`` RGB.

    Raises:
        UserError: the file is missing, empty, truncated, too large, no image, or has other than whole numbers from 0 in
            up to 16 bits.
    """
    with opened(path) as image:
        if image.mode in ("I", "F") or sample_type(image).startswith("int"):
            raise UserError(
                f"{path}: expected uint8 or uint16, found {sample_type(image)}; save it as 16-bit PNG or TIFF."
            )
        return pixels_of(path, image)


def read_mask(path: str | Path, inverted: bool | None = False) -> npt.NDArray[np.uint8]:
    """Read a ground-truth mask at its own size: 255 where something is marked, else 0, ``[H, W]``.

    The level of a pixel is its brightest channel, in ratio to its opacity, so that what is transparent is not marked;
    where all that can be seen is black, opacity itself. If the levels between 0 and the highest

    - lie on slopes (at least half of them have a lower and a higher neighbour, none is surrounded by its like, and the
      level rises by half of the highest within 5 pixels) or are all close to black and white, they are soft edges or
      errors of a JPEG that it was before: marked is from half of the highest on;
    - are labels of classes or instances (at most 2 % of them have values that lie on slopes for the most part, or all
      are whole numbers below 16), all that is above 0 is marked, however thin or small, unless VOC's void colour or 255
      among labels up to 32 say that some pixels are neither: such masks are refused;
    - are neither, as in heat maps, the mask is refused.

    Lossy files (JPEG, WebP) are marked from half of the highest level on, and refused if they hold labels. A palette's
    colours count if just one of them is black, else its numbers.

    Args:
        path: an image, or a folder of images of one size, which are joined.
        inverted: whether black is what is marked; ``None`` if that is not known.

    Raises:
        UserError: as ``read_size`` and ``mask_files``; the file has several pages; what it marks is not clear; it looks
            inverted and ``inverted`` is ``None``; or the masks of a folder differ in size.
    """
    first, *others = mask_files(path)
    joined = _marked(first, inverted)
    for file in others:
        marked = _marked(file, inverted)
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


def _marked(path: Path, inverted: bool | None) -> npt.NDArray[np.bool_]:
    with opened(path) as image:
        if (count := pages(image)) > 1:
            raise UserError(f"{path}: expected a mask of one page, found {count}; save one file a page in a folder.")
        levels, plain = _levels(path, image)
        lossy = is_lossy(path, image)
    marked = levels >= levels.max() / 2 if _is_soft(path, levels, lossy) else levels > 0
    if not plain and marked.all():
        raise UserError(f"{path}: expected black (0) where nothing is marked, found none; save it as 0 and 255.")
    border = np.concatenate([marked[0], marked[-1], marked[:, 0], marked[:, -1]]).mean()
    if inverted is None and marked.mean() >= 0.5 and border >= 0.9:
        raise UserError(
            f"{path}: expected white defects on black, found {marked.mean():.0%} of the image and {border:.0%} of its "
            "border white; set masks_inverted of the data set to true if black is the defect, else to false."
        )
    return ~marked if inverted else marked


def _levels(path: Path, image: Image.Image) -> tuple[npt.NDArray[Any], bool]:
    """Brightness ``[H, W]`` in ratio to opacity, at least 0, and whether all pixels are alike."""
    if image.mode == "P" and not image.has_transparency_data and (numbers := _labels(path, image)) is not None:
        pixels = numbers
    else:
        pixels = pixels_of(path, image, alpha=True)
        if sample_type(image) == "int8" and pixels.dtype == np.uint8:
            pixels = pixels.view(np.int8)
    channels = pixels[..., None] if pixels.ndim == 2 else pixels
    if not channels.min() >= 0 or not np.isfinite(channels.max()):  # NaN is not
        raise UserError(f"{path}: expected a mask of values from 0 on, found negative ones or such as are no number.")
    plain = bool((channels == channels[:1, :1]).all())
    colours = channels[..., :-1] if channels.shape[2] in (2, 4) else channels
    if colours.shape[2] == 3 and not plain and (colours == _VOC_VOID).all(axis=2).any():
        raise UserError(
            f"{path}: expected marked or not, found VOC's void {_VOC_VOID}; make it background or an object."
        )
    levels = colours.max(axis=2)
    if colours.shape[2] == channels.shape[2] or channels[..., -1].min() == channels[..., -1].max() > 0:
        return levels, plain
    opacity = channels[..., -1]
    if not opacity.any() and not plain:
        raise UserError(f"{path}: expected a mask, found colours that are all fully transparent.")
    seen = levels.astype(np.float32) * (opacity / np.float32(max(opacity.max(), 1)))
    return (seen if seen.any() else opacity), plain


def _labels(path: Path, image: Image.Image) -> npt.NDArray[np.uint8] | None:
    """The palette's numbers, of which 0 is the background, or nothing if its colours say more."""
    numbers = np.asarray(image)
    palette = np.zeros((256, 3), np.uint8)
    given = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(given)] = given
    used = np.unique(numbers)
    black = used[~palette[used].any(axis=1)]
    if len(black) != 1:  # a palette for telling labels apart, or none
        return upright(numbers, orientation(image))
    numbered = np.count_nonzero(numbers == 0) > np.count_nonzero(numbers == black[0])
    if black[0] != 0 and numbered and np.ptp(palette[used], axis=1).any():
        raise UserError(
            f"{path}: expected black as number 0 of its palette, found it as {black[0]}; save it as 0 and 255."
        )
    return None


def _is_soft(path: Path, levels: npt.NDArray[Any], lossy: bool) -> bool:
    """Whether levels between 0 and the highest are edges, and not labels."""
    top = float(levels.max())
    between = (levels > 0) & (levels < top)
    if top == 0 or not (lossy or between.any()):
        return False
    from scipy.ndimage import maximum_filter, minimum_filter  # takes a quarter of a second, which photographs need not

    lower, higher = minimum_filter(levels, 3), maximum_filter(levels, 3)
    middle = (levels > top / 8) & (levels < top * 7 / 8)
    if lossy:
        if top < _DARKEST_LOSSY or (middle & (higher - lower <= top / 16)).any():
            raise UserError(
                f"{path}: expected black and white in a lossy format, found labels or greys; save it as PNG."
            )
        return True
    if top < 16 and np.array_equal(levels, np.rint(levels)):
        return False
    slopes = (lower < levels) & (levels < higher)
    values, index, counts = np.unique(levels[between], return_inverse=True, return_counts=True)
    # what JPEGs saved as PNG have: errors near black and white alone, or many values, the errors over wide stretches
    errors = levels.dtype == np.uint8 and not ((values > 15) & (values < 240)).any()
    if errors and values.min() <= 15 and values.max() >= 240:
        return True
    alike = between & (lower == higher)
    if not (alike & (middle | (len(values) <= 16))).any() and slopes[between & ~alike].mean() >= 0.5:
        middle &= (levels >= top / 4) & (levels <= top * 3 / 4)
        rise = maximum_filter(levels, 5) - minimum_filter(levels, 5)
        if not middle.any() or (rise[middle] >= top / 2).mean() >= 0.5:
            return True
    on_slopes = np.bincount(index, slopes[between]) > counts / 2
    if counts[on_slopes].sum() > 0.02 * counts.sum():
        raise UserError(
            f"{path}: expected a mask of two values or of labels, found {len(values)} values between 0 and {top:g} in "
            "a gradient; save it as 0 and 255."
        )
    if top == 255 and values.max() <= 32:
        raise UserError(
            f"{path}: expected marked or not, found the labels {', '.join(f'{v:g}' for v in values)} and 255, which "
            "many tools use for pixels to ignore; make those 0 or a label."
        )
    return False
