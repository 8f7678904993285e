"""Patch features of a frozen backbone, computed once and kept in HDF5.

One data set a layer, float32 ``[N, h, w, C]``: rows are images, in the order of the file that they came from.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from variad.backbones import Backbone
from variad.errors import UserError
from variad.files import writing
from variad.records import Images

FeatureMaps = dict[str, NDArray[np.float32]]


def to_tensor(images: Images) -> Tensor:
    """uint8 ``[N, H, W, 3]`` to float32 ``[N, 3, H, W]`` in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


def prepare(images: Tensor, resolution: int | None, crop: int | None) -> Tensor:
    """Resize ``[N, 3, H, W]`` to ``resolution`` (antialiased) and cut the centre ``crop`` out; None leaves as it is."""
    if resolution is not None and images.shape[-1] != resolution:
        images = functional.interpolate(images, (resolution, resolution), mode="bilinear", antialias=True)
    if crop is not None:
        if crop > images.shape[-1]:
            raise UserError(f"extractor: expected a crop of at most {images.shape[-1]} pixels, found {crop}.")
        start = (images.shape[-1] - crop) // 2
        images = images[..., start : start + crop, start : start + crop]
    return images


def write_features(
    path: str | Path,
    images: Iterator[Images],
    count: int,
    backbone: Backbone,
    attributes: dict[str, str],
    *,
    image_ids: Sequence[str] | None = None,
    resolution: int | None = None,
    crop: int | None = None,
    device: str = "cpu",
) -> None:
    """Run ``backbone`` over batches of ``images`` and keep every layer.

    Args:
        images: batches, uint8 ``[B, S, S, 3]``, ``count`` images in all.
        attributes: what else to record about the extractor.
        image_ids: names of the images, in order, if they have any.
    """
    backbone.to(device)
    with writing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            {**attributes, "weights_sha256": backbone.weights_sha256, "strides": list(backbone.strides.values())}
        )
        if image_ids is not None:
            file.create_dataset("image_id", data=list(image_ids), dtype=h5py.string_dtype())
        done = 0
        with tqdm(total=count, unit="image", desc="features", mininterval=5) as progress:
            for batch in images:
                _append(file, _forward(backbone, prepare(to_tensor(batch).to(device), resolution, crop)), done, count)
                done += len(batch)
                progress.update(len(batch))
        if not count:  # the layers' shapes are recorded all the same
            side = resolution or crop or 224
            _append(file, _forward(backbone, prepare(torch.zeros(1, 3, side, side), side, crop)), 0, 0)


def image_batches(path: str | Path, size: int = 32) -> Iterator[Images]:
    """The images of an ``images.h5`` or ``added.h5``, in batches."""
    with h5py.File(path) as file:
        for start in range(0, len(file["images"]), size):
            yield file["images"][start : start + size]


def _forward(backbone: Backbone, images: Tensor) -> FeatureMaps:
    with torch.inference_mode():
        maps = backbone(images)
    return {layer: value.permute(0, 2, 3, 1).float().cpu().numpy() for layer, value in maps.items()}


def _append(file: h5py.File, maps: FeatureMaps, start: int, count: int) -> None:
    for layer, values in maps.items():
        if layer not in file:
            chunks = (1, *values.shape[1:]) if count else None
            file.create_dataset(layer, (count, *values.shape[1:]), "float32", chunks=chunks)
        if count:
            file[layer][start : start + len(values)] = values


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
