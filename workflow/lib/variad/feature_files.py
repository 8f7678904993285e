"""Patch features on disk: one data set a layer, float32 ``[N, h, w, C]``, rows in the order of the images' file.

Reading them needs no torch, which takes seconds to import, so that detectors that do not train networks start at once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from variad.errors import UserError
from variad.records import Images

FeatureMaps = dict[str, NDArray[np.float32]]


def image_batches(path: str | Path, size: int = 32) -> Iterator[Images]:
    """The images of an ``images.h5`` or ``added.h5``, in batches."""
    with h5py.File(path) as file:
        for start in range(0, len(file["images"]), size):
            yield file["images"][start : start + size]


def read_features(path: str | Path, layers: Sequence[str], rows: Sequence[int] | None = None) -> FeatureMaps:
    """Feature maps of some rows (all of them if None), in the order asked for; no images give empty maps."""
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


def feature_ids(path: str | Path) -> list[str]:
    """image_ids of a feature file of real images, in order."""
    with h5py.File(path) as file:
        return [str(name) for name in file["image_id"].asstr()[:]]
