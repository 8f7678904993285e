"""How much of a defect has to be found before it counts as found: ``defects_config.json`` of MVTec LOCO AD.

A missing object may lie anywhere in the region where it should have been, so a part of that region is enough. Each mask
holds one defect, and its pixel value names the kind of defect. Source: Bergmann et al., "Beyond Dents and Scratches",
IJCV 2022; the file's keys are those of the evaluator that comes with the data set.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variad.errors import UserError
from variad.images import read_image

NAME = "defects_config.json"

_KINDS: dict[str, type | tuple[type, ...]] = {
    "defect_name": str,
    "pixel_value": int,
    "saturation_threshold": (int, float),
    "relative_saturation": bool,
}


@dataclass(frozen=True)
class Saturation:
    """From which area on a kind of defect counts as found.

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
        raise UserError(f"{path}: expected a pixel value that {NAME} lists ({known}), found {values[0]}.")
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
