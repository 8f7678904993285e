"""The single defects of an image, each with the area from which on it counts as found, in an ``images.h5``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Defect:
    """One annotated defect.

    Attributes:
        pixels: ``[A]`` where it is, as positions in the flattened image.
        shape: height and width of the image.
        saturation_area: from so many of its pixels on it counts as found, 1 to A.
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
        group = file.get("defects", {})
        return {name: _defects(group[name]) for name in image_ids if name in group}


def _defects(data: h5py.Dataset) -> list[Defect]:
    areas = data.attrs["saturation_area"]
    return [defect_of(data[index], int(area)) for index, area in enumerate(areas)]
