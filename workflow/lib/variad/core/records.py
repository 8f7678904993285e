"""Reading what other rules packed: images, masks, shots and patch features of a category.

Nothing here needs torch, which takes seconds to import: detectors that do not train networks start at once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.images import FeatureMaps, Images
from variad.core.tables import read_table


def read_image_ids(path: str | Path) -> list[str]:
    """The image_ids of an ``images.h5``, or of a file of features of real images, in its order."""
    with h5py.File(path) as file:
        return [str(name) for name in file["image_id"].asstr()[:]]


def read_images(path: str | Path, image_ids: Sequence[str]) -> Images:
    """Images by image_id, uint8 RGB ``[N, S, S, 3]``, in the order asked for.

    Raises:
        UserError: an image_id is not in the file.
    """
    row = {name: index for index, name in enumerate(read_image_ids(path))}
    missing = [name for name in image_ids if name not in row]
    if missing:
        raise UserError(f"{path}: expected image {missing[0]}, found no such image_id.")
    with h5py.File(path) as file:
        size = file["images"].shape[1:]
        stack = [file["images"][row[name]] for name in image_ids]
    return np.stack(stack) if stack else np.empty((0, *size), np.uint8)


def read_masks(path: str | Path, image_ids: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Masks of those images that have one, bool ``[height, width]`` at the original size."""
    with h5py.File(path) as file:
        masks = file.get("masks", {})
        return {name: masks[name][:] > 0 for name in image_ids if name in masks}


def read_shots(path: str | Path, scenario: str) -> dict[int, list[str]]:
    """image_ids of the shots of every run of a scenario, in order.

    Raises:
        UserError: the table has no shots of that scenario.
    """
    table = read_table(path, "shots")
    chosen = table[table["scenario"] == scenario]
    if chosen.empty:
        raise UserError(f"{path}: expected shots of scenario {scenario}, found none.")
    runs = sorted({int(run) for run in chosen["run"]})
    return {run: list(chosen.loc[chosen["run"] == run, "image_id"]) for run in runs}


def read_training_ids(path: str | Path) -> list[str]:
    """image_ids of all training images that a ``shots.csv`` knows of: the shots of ``full_shot``.

    Raises:
        UserError: the table has no such scenario.
    """
    return sorted({name for shots in read_shots(path, "full_shot").values() for name in shots})


def image_side(path: str | Path) -> int:
    """Side S of the images of an ``images.h5``, pixels."""
    with h5py.File(path) as file:
        return int(file["images"].shape[1])


def count_images(path: str | Path) -> int:
    """Number of images of an ``images.h5`` or ``added.h5``."""
    with h5py.File(path) as file:
        return len(file["images"])


def optional_image_ids(path: str | Path) -> list[str] | None:
    """image_ids of an ``images.h5``; None for an ``added.h5``, whose images have no names."""
    with h5py.File(path) as file:
        named = "image_id" in file
    return read_image_ids(path) if named else None


def image_batches(path: str | Path, size: int = 32) -> Iterator[Images]:
    """The images of an ``images.h5`` or ``added.h5``, in batches."""
    with h5py.File(path) as file:
        for start in range(0, len(file["images"]), size):
            yield file["images"][start : start + size]


def read_features(path: str | Path, layers: Sequence[str], rows: Sequence[int] | None = None) -> FeatureMaps:
    """Feature maps by layer, float32 ``[N, h, w, C]``: some rows (all of them if None), in the order asked for."""
    with h5py.File(path) as file:
        missing = [layer for layer in layers if layer not in file]
        if missing:
            raise UserError(f"{path}: expected features of layer {missing[0]}, found {', '.join(file)}.")
        if rows is None:
            return {layer: file[layer][:] for layer in layers}
        return {layer: _rows(file[layer], rows) for layer in layers}


def _rows(data: h5py.Dataset, rows: Sequence[int]) -> NDArray[np.float32]:
    # h5py wants increasing indices without repetition, callers want any order
    wanted, back = np.unique(np.asarray(rows, dtype=np.int64), return_inverse=True)
    if not len(wanted):
        return np.empty((0, *data.shape[1:]), np.float32)
    values: NDArray[np.float32] = data[wanted][back]
    return values
