"""Features of many images as a file; see ``docs/data_contracts.md``."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import h5py
import torch
from tqdm import tqdm

from variad.core.files import writing
from variad.core.images import FeatureMaps, Images
from variad.core.records import RowsBefore, create_rows
from variad.core.shortages import new_hdf5
from variad.networks.backbones import Backbone
from variad.networks.features import batches_of_features, check_finite, feature_maps, prepare


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
    stored_as: str = "float32",
    device: str = "cpu",
) -> None:
    """Run ``backbone`` over batches of ``images`` and keep every layer.

    Args:
        images: batches, uint8 ``[B, S, S, 3]``, of those of ``count`` images that ``before`` does not know.
        attributes: what else to record about the extractor.
        image_ids, contents: names of the images and hashes of their files, in order, if they have any.
        before: what the file held, whose rows are taken over by their contents.
        stored_as: type of the numbers on disk, ``float32`` or ``float16``.

    Raises:
        UserError: a feature is larger than float16 can hold.
    """
    backbone.to(device)
    with writing(path) as temporary, new_hdf5(temporary) as file:
        file.attrs.update(
            {**attributes, "weights_sha256": backbone.weights_sha256, "strides": list(backbone.strides.values())}
        )
        for name, values in (("image_id", image_ids), ("sha256", contents)):
            if values is not None:
                file.create_dataset(name, data=list(values), dtype=h5py.string_dtype())
        rows = list(range(count)) if before is None or contents is None else before.unknown(contents)
        waiting = iter(rows)
        with tqdm(total=len(rows), unit="image", desc="features", mininterval=5, disable=None) as progress:
            for maps in batches_of_features(backbone, images, resolution, crop, device, stored_as):
                size = len(next(iter(maps.values())))
                _fill(file, maps, list(islice(waiting, size)), count)
                progress.update(size)
        if before is not None and contents is not None and len(rows) < count:
            before.take_others(contents, file)
        if not count:  # the layers' shapes are recorded all the same
            side = resolution or crop or 224
            empty = prepare(torch.zeros(1, 3, side, side, device=device), side, crop)
            maps = {layer: values.astype(stored_as) for layer, values in feature_maps(backbone, empty).items()}
            _fill(file, maps, [], 0)


def _fill(file: h5py.File, maps: FeatureMaps, rows: list[int], count: int) -> None:
    check_finite(maps)
    for layer in sorted(maps):
        if layer not in file:
            create_rows(file, layer, (count, *maps[layer].shape[1:]), maps[layer].dtype)
    for layer, values in maps.items():
        for row, value_of_row in zip(rows, values, strict=False):
            file[layer][row] = value_of_row
