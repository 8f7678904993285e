"""The single defects of an image, and how much of each has to be found before it counts as found.

A missing object may lie anywhere in the region where it should have been, so a part of that region is enough. Each mask
of MVTec LOCO AD holds one defect; its pixel value names the kind of defect, whose saturation ``defects_config.json``
has. Source: Bergmann et al., "Beyond Dents and Scratches", IJCV 2022, and the evaluator that comes with the data set.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.images import read_image

DEFECTS_CONFIG = "defects_config.json"

_KINDS: dict[str, type | tuple[type, ...]] = {
    "defect_name": str,
    "pixel_value": int,
    "saturation_threshold": (int, float),
    "relative_saturation": bool,
}


@dataclass(frozen=True)
class Saturation:
    """The area that is enough to have found a defect of one kind.

    Attributes:
        threshold: a share of the defect's area, above 0 and up to 1, if ``relative``; else a number of pixels.
    """

    defect: str
    threshold: float
    relative: bool

    def area(self, defect_area: int) -> int:
        """Saturation area of a defect of so many pixels, in pixels: at least 1, at most the defect's area."""
        if self.relative:
            return max(1, int(self.threshold * defect_area))
        return min(int(self.threshold), defect_area)


def read_saturations(path: str | Path) -> dict[int, Saturation]:
    """Saturations by the pixel value of the masks.

    Raises:
        UserError: the file is missing, is no such JSON, or holds a value twice or out of range.
    """
    try:
        entries = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: expected the saturation of each defect, found: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path}: expected JSON, found: {error}.") from error
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path}: expected a list of defects, found {type(entries).__name__} without any.")
    found: dict[int, Saturation] = {}
    for entry in entries:
        value, saturation = _saturation(path, entry)
        if value in found:
            raise UserError(f"{path}: expected each pixel_value once, found {value} twice.")
        found[value] = saturation
    return found


def read_defect(path: Path, saturations: Mapping[int, Saturation]) -> tuple[NDArray[np.uint8], int]:
    """One mask of one defect, 0 or 255 ``[H, W]``, and its saturation area in pixels.

    Raises:
        UserError: the mask is not grey, does not hold exactly one value above 0, or that value is not known.
    """
    raw = read_image(path)
    values = np.unique(raw[raw > 0]).tolist() if raw.ndim == 2 else []
    if len(values) != 1:
        found = f"values {values}" if raw.ndim == 2 else "colour"
        raise UserError(f"{path}: expected a grey mask with 0 and one value for its defect, found {found}.")
    if values[0] not in saturations:
        known = ", ".join(map(str, sorted(saturations)))
        raise UserError(f"{path}: expected a pixel value that {DEFECTS_CONFIG} lists ({known}), found {values[0]}.")
    mask = np.where(raw > 0, 255, 0).astype(np.uint8)
    return mask, saturations[values[0]].area(int(np.count_nonzero(mask)))


def _saturation(path: str | Path, entry: Any) -> tuple[int, Saturation]:
    if not isinstance(entry, dict) or any(not isinstance(entry.get(key), kind) for key, kind in _KINDS.items()):
        raise UserError(f"{path}: expected defects with {', '.join(_KINDS)}, found {json.dumps(entry)[:200]}.")
    name, value, threshold, relative = (entry[key] for key in _KINDS)
    if not 1 <= value <= 255:
        raise UserError(f"{path}: pixel_value of '{name}': expected 1 to 255, found {value}.")
    if not (0 < threshold <= 1 if relative else threshold >= 1 and threshold == int(threshold)):
        allowed = "above 0 and up to 1" if relative else "a whole number of pixels from 1"
        raise UserError(f"{path}: saturation_threshold of '{name}': expected {allowed}, found {threshold}.")
    return value, Saturation(name, threshold, relative)


@dataclass(frozen=True)
class Defect:
    """One annotated defect.

    Attributes:
        pixels: ``[A]`` where it is, as positions in the flattened image.
        shape: height and width of the image.
        saturation_area: the number of its pixels, 1 to A, that is enough to have found it.
    """

    pixels: NDArray[np.int32]
    shape: tuple[int, int]
    saturation_area: int


def defect_of(mask: NDArray[np.uint8] | NDArray[np.bool_], saturation_area: int | None = None) -> Defect:
    """The defect of a mask ``[H, W]``, above 0 where it is; it saturates at its whole area if none is given."""
    pixels = np.flatnonzero(mask).astype(np.int32)
    height, width = mask.shape
    return Defect(pixels, (height, width), saturation_area or pixels.size)


def write_defects(file: h5py.File, image_id: str, masks: NDArray[np.uint8], areas: Sequence[int]) -> None:
    """Write ``/defects/<image_id>``, 0 or 255 ``[K, H, W]``, with the attribute ``saturation_area`` ``[K]``."""
    options = {"compression": "gzip", "compression_opts": 1, "chunks": (1, *masks.shape[1:])}
    data = file.require_group("defects").create_dataset(image_id, data=masks, **options)
    data.attrs["saturation_area"] = np.asarray(areas, dtype=np.int64)


def read_defects(path: str | Path, image_ids: Sequence[str]) -> dict[str, list[Defect]]:
    """The defects of those images that have some; nothing for a data set without saturations."""
    with h5py.File(path) as file:
        found = {name: data for name in image_ids if (data := file.get(f"defects/{name}"))}
        return {
            name: [defect_of(mask, int(area)) for mask, area in zip(data, data.attrs["saturation_area"], strict=True)]
            for name, data in found.items()
        }
