"""Between images as they are stored and images as networks take them, and a frozen backbone's features as a file."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.images import FeatureMaps, Images
from variad.core.records import RowsBefore
from variad.networks.backbones import Backbone


def to_tensor(images: Images) -> Tensor:
    """uint8 ``[N, H, W, 3]`` to float32 ``[N, 3, H, W]`` in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


def to_uint8(images: Tensor) -> Images:
    """``[N, 3, H, W]`` in [0, 1] to uint8 ``[N, H, W, 3]``, rounded."""
    rounded = (images * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).cpu().numpy())


def are_grey(images: Tensor) -> Tensor:
    """Whether each of ``[N, 3, H, W]`` has equal channels: bool ``[N]``."""
    return (images == images[:, :1]).flatten(1).all(dim=1)


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


def feature_maps(backbone: Backbone, images: Tensor) -> FeatureMaps:
    """All layers of the backbone, float32 ``[N, h, w, C]``, of RGB images ``[N, 3, H, W]`` in [0, 1]."""
    with torch.inference_mode():
        return {layer: maps.permute(0, 2, 3, 1).float().cpu().numpy() for layer, maps in backbone(images).items()}


def write_features(
    path: str | Path,
    images: Iterable[Images],
    count: int,
    backbone: Backbone,
    attributes: dict[str, str],
    *,
    image_ids: Sequence[str] | None = None,
    contents: Sequence[str] | None = None,
    before: RowsBefore | None = None,
    resolution: int | None = None,
    crop: int | None = None,
    device: str = "cpu",
) -> None:
    """Run ``backbone`` over batches of ``images`` and keep every layer.

    Args:
        images: batches, uint8 ``[B, S, S, 3]``, of those of ``count`` images that ``before`` does not know.
        attributes: what else to record about the extractor.
        image_ids, contents: names of the images and hashes of their files, in order, if they have any.
        before: what the file held, whose rows are taken over by their contents.
    """
    backbone.to(device)
    with writing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            {**attributes, "weights_sha256": backbone.weights_sha256, "strides": list(backbone.strides.values())}
        )
        for name, values in (("image_id", image_ids), ("sha256", contents)):
            if values is not None:
                file.create_dataset(name, data=list(values), dtype=h5py.string_dtype())
        rows = list(range(count)) if before is None or contents is None else before.unknown(contents)
        waiting = iter(rows)
        with tqdm(total=len(rows), unit="image", desc="features", mininterval=5, disable=None) as progress:
            for batch in images:
                prepared = prepare(to_tensor(batch).to(device), resolution, crop)
                _fill(file, backbone, prepared, list(islice(waiting, len(batch))), count)
                progress.update(len(batch))
        if before is not None and contents is not None and len(rows) < count:
            before.take_others(contents, file)
        if not count:  # the layers' shapes are recorded all the same
            side = resolution or crop or 224
            _fill(file, backbone, prepare(torch.zeros(1, 3, side, side, device=device), side, crop), [], 0)


def _fill(file: h5py.File, backbone: Backbone, images: Tensor, rows: list[int], count: int) -> None:
    for layer, values in feature_maps(backbone, images).items():
        if layer not in file:
            chunks = (1, *values.shape[1:]) if count else None
            file.create_dataset(layer, (count, *values.shape[1:]), "float32", chunks=chunks)
        for row, value_of_row in zip(rows, values, strict=False):
            file[layer][row] = value_of_row
