"""A category's images as everything that follows knows them: listed in a manifest, packed into one HDF5 file."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from variad.core.errors import UserError
from variad.core.files import sha256, writing
from variad.core.images import is_16_bit, mask_files, read_image, read_mask, read_size, resize_square, to_rgb8
from variad.datasets.adapters import Dataset, Entry
from variad.datasets.masks import Saturation, read_defect, write_defects

PERCENTILES = (0.1, 99.9)  # of 16-bit training normals: what becomes 0 and 255
FULL_RANGE = (0.0, 65535.0)
# level 1 makes 300 solar cells 3.4 times smaller for 0.4 s; reading them back takes no longer than without
COMPRESSION = {"compression": "gzip", "compression_opts": 1}


def index_category(dataset: Dataset, category: str) -> pd.DataFrame:
    """Rows of the schema ``manifest`` for every image of a category.

    Headers are read and files are hashed; whether pixels can be decoded shows when they are packed.

    Raises:
        UserError: the category is unknown or has no training images, two images have one name, a file is no image, or a
            mask has another size than its image.
    """
    entries = dataset.entries(category)
    names = pd.Series([entry.image_id for entry in entries], dtype=object)
    twice = names[names.duplicated()]
    if len(twice):
        raise UserError(
            f"{dataset.root}: expected each image of '{category}' under a name of its own, found {twice.iloc[0]} twice."
        )
    if not any(entry.split == "train" for entry in entries):
        raise UserError(f"{dataset.root}: expected training images of category '{category}', found none.")
    return pd.DataFrame([_row(dataset.root, category, entry) for entry in entries])


def _row(root: Path, category: str, entry: Entry) -> dict[str, str | int | None]:
    height, width = read_size(root / entry.image_path)
    for file in mask_files(root / entry.mask_path) if entry.mask_path is not None else []:
        _check_mask_size(file, read_size(file), (height, width))
    return {
        "image_id": entry.image_id,
        "category": category,
        "split": entry.split,
        "label": entry.label,
        "defect": entry.defect,
        "image_path": entry.image_path.as_posix(),
        "mask_path": "" if entry.mask_path is None else entry.mask_path.as_posix(),
        "height": height,
        "width": width,
        "sha256": sha256(root / entry.image_path),
    }


def pack_category(
    manifest: pd.DataFrame,
    root: str | Path,
    path: str | Path,
    image_size: int,
    dataset: str,
    category: str,
    saturations: Mapping[int, Saturation] | None = None,
) -> None:
    """Write ``images.h5`` (see ``docs/data_contracts.md``) for the rows of a manifest, in their order.

    16-bit images are scaled linearly from the percentiles 0.1 and 99.9 of the 16-bit training normals, over all
    channels, to 8 bits; 8-bit images keep their values. If no training normal has 16 bits the full range is taken.

    Args:
        saturations: by the pixel value of masks; with them the single masks of an image are packed beside their union.

    Raises:
        UserError: an image or mask cannot be read, a mask has another size than its image, or a pixel value that has
            no saturation.
    """
    root = Path(root)
    files = [root / name for name in manifest["image_path"]]
    scale = _scale(manifest, files)
    with writing(path) as temporary, h5py.File(temporary, "w") as packed:
        packed.attrs.update({"image_size": image_size, "dataset": dataset, "category": category})
        if scale is not None:
            packed.attrs.update({"percentile_low": scale[0], "percentile_high": scale[1]})
        packed.create_dataset("image_id", data=list(manifest["image_id"]), dtype=h5py.string_dtype())
        _pack_images(packed, files, image_size, scale or FULL_RANGE)
        _pack_masks(packed, manifest, root)
        if saturations is not None:
            _pack_defects(packed, manifest, root, saturations)


def percentiles(images: Iterable[npt.NDArray[np.uint16]]) -> tuple[float, float]:
    """The percentiles 0.1 and 99.9 of all values of uint16 images, exact (inverted distribution function)."""
    counts = np.zeros(65536, np.int64)
    for image in images:
        counts += np.bincount(image.ravel(), minlength=65536)
    below = np.cumsum(counts)
    low, high = (int(np.searchsorted(below, below[-1] * percent / 100)) for percent in PERCENTILES)
    return float(low), float(high)


def _scale(manifest: pd.DataFrame, files: list[Path]) -> tuple[float, float] | None:
    deep = [is_16_bit(file) for file in files]
    if not any(deep):
        return None
    normals = [
        file for file, wide, split in zip(files, deep, manifest["split"], strict=True) if wide and split == "train"
    ]
    return percentiles(read_image(file).astype(np.uint16) for file in normals) if normals else FULL_RANGE


def _pack_images(packed: h5py.File, files: list[Path], size: int, scale: tuple[float, float]) -> None:
    shape = (size, size, 3)
    images = packed.create_dataset("images", (len(files), *shape), np.uint8, chunks=(1, *shape), **COMPRESSION)
    for row, file in enumerate(files):
        images[row] = resize_square(to_rgb8(read_image(file), *scale), size)


def _pack_masks(packed: h5py.File, manifest: pd.DataFrame, root: Path) -> None:
    masks = packed.create_group("masks")
    columns = ("image_id", "mask_path", "height", "width")
    for image_id, name, height, width in zip(*(manifest[column] for column in columns), strict=True):
        if name:
            mask = read_mask(root / name)
            _check_mask_size(root / name, mask.shape, (height, width))
            masks.create_dataset(image_id, data=mask, **COMPRESSION)


def _pack_defects(packed: h5py.File, manifest: pd.DataFrame, root: Path, saturations: Mapping[int, Saturation]) -> None:
    for image_id, name in zip(manifest["image_id"], manifest["mask_path"], strict=True):
        if name:
            defects = [read_defect(file, saturations) for file in mask_files(root / name)]
            write_defects(packed, image_id, np.stack([mask for mask, _ in defects]), [area for _, area in defects])


def _check_mask_size(path: Path, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise UserError(
            f"{path}: expected a mask of its image's size, {expected[0]} x {expected[1]} px (height x width), "
            f"found {found[0]} x {found[1]}."
        )
