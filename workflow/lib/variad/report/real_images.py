"""The real images of a category, read one at a time from ``images.h5``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from variad.errors import UserError


class RealImages:
    """Images and masks of an open ``images.h5`` by image_id."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._index = {name: index for index, name in enumerate(file["image_id"].asstr()[:])}

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """One image, ``[S, S, 3]`` uint8 RGB.

        Raises:
            UserError: the category has no such image.
        """
        if image_id not in self._index:
            raise UserError(f"{self._file.filename}: expected image {image_id!r}, found no such image_id.")
        pixels: npt.NDArray[np.uint8] = self._file["images"][self._index[image_id]]
        return pixels

    def mask(self, image_id: str) -> npt.NDArray[np.uint8] | None:
        """The defect's mask, ``[height, width]`` 0 or 255 at the original size, or nothing."""
        masks = self._file.get("masks")
        if masks is None or image_id not in masks:
            return None
        pixels: npt.NDArray[np.uint8] = masks[image_id][:]
        return pixels

    def has_mask(self, image_id: str) -> bool:
        """Whether there is a mask, without reading it."""
        return "masks" in self._file and image_id in self._file["masks"]


@contextmanager
def open_real_images(path: str | Path) -> Iterator[RealImages]:
    """Open ``images.h5`` of a category."""
    with h5py.File(path, "r") as file:
        yield RealImages(file)
