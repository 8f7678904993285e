"""A category's images as everything that follows knows them: listed in a manifest, packed into one HDF5 file, by split.

How values become 8-bit RGB is one rule for a whole category: 8-bit images keep their values; 16-bit ones are scaled
linearly from the percentiles 0.1 and 99.9 of the 16-bit training normals, over all channels. Every split takes the
scale of the training images, and says where its images do not fit it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from variad.core.errors import UserError
from variad.core.files import sha256, writing
from variad.core.images import Raw, is_16_bit, mask_files, read_image, read_mask, read_size, resize_square, to_rgb8
from variad.core.records import RowsBefore
from variad.core.shortages import new_hdf5
from variad.datasets.adapters import Dataset, Entry
from variad.datasets.masks import Saturation, read_defect, write_defects

PERCENTILES = (0.1, 99.9)  # of 16-bit training normals: what becomes 0 and 255; and of every packed image
FULL_RANGE = (0.0, 65535.0)
LONGEST_NAME = 250  # bytes: with `.tiff` what file systems take
RANGE_OFF = 64  # grey levels by which the darkest or brightest values of a split may differ from training, median
# level 1 makes 300 solar cells 3.4 times smaller for 0.4 s; reading them back takes no longer than without
COMPRESSION = {"compression": "gzip", "compression_opts": 1}


def index_category(
    dataset: Dataset, category: str, split: str | None = None, hash_of: Callable[[Path], str] = sha256
) -> pd.DataFrame:
    """Rows of the schema ``manifest`` for every image of a category, or of one of its splits.

    Headers are read and files are hashed; whether pixels can be decoded shows when they are packed. An unlabelled file
    that is no image is left out, as no figure rests on it: the inventory names it.

    Args:
        hash_of: gives the SHA-256 of a file.

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
    for part in (part for name in names for part in name.split("/")):
        if len(part.encode()) > LONGEST_NAME:
            raise UserError(
                f"{dataset.root}: expected names of at most {LONGEST_NAME} bytes without their ending, so that a "
                f"map can be called so, found {part!r} of {len(part.encode())}."
            )
    rows = []
    for entry in entries:
        if split in (None, entry.split):
            with suppress(UserError) if entry.split == "unlabelled" else nullcontext():
                rows.append(_row(dataset.root, category, entry, hash_of))
    return pd.DataFrame(rows, columns=list(COLUMNS))


COLUMNS = (
    *("image_id", "category", "split", "label", "defect", "image_path", "mask_path", "height", "width", "sha256"),
    "mask_sha256",
)


def _row(root: Path, category: str, entry: Entry, hash_of: Callable[[Path], str]) -> dict[str, str | int | None]:
    height, width = read_size(root / entry.image_path)
    mask_path = None if entry.split == "unlabelled" else entry.mask_path  # of a pool's image, and nothing to be read
    masks = mask_files(root / mask_path) if mask_path is not None else []
    for file in masks:
        _check_mask_size(file, read_size(file), (height, width))
    hashes = [hash_of(file) for file in masks]
    return {
        "image_id": entry.image_id,
        "category": category,
        "split": entry.split,
        "label": entry.label,
        "defect": entry.defect,
        "image_path": entry.image_path.as_posix(),
        "mask_path": "" if mask_path is None else mask_path.as_posix(),
        "height": height,
        "width": width,
        "sha256": hash_of(root / entry.image_path),
        "mask_sha256": hashes[0] if len(hashes) == 1 else _digest("".join(hashes).encode()) if hashes else "",
    }


def pack_category(
    manifest: pd.DataFrame,
    root: str | Path,
    path: str | Path,
    image_size: int,
    dataset: str,
    category: str,
    saturations: Mapping[int, Saturation] | None = None,
    train: str | Path | None = None,
    made_with: str = "",
    refuse_copies: bool = False,
    masks_inverted: bool | None = False,
    test: str | Path | None = None,
) -> list[str]:
    """Write ``images.h5`` (see ``docs/data_contracts.md``) for the rows of a manifest, in their order.

    What ``path`` holds of before is taken over where an image, or a mask, has the same content.

    Args:
        saturations: by the pixel value of masks; with them the single masks of an image are packed beside their union.
        train: the ``images.h5`` of the training images, whose scale the others take; None where the manifest holds
            training images.
        made_with: stands for the code that packs; with another one nothing is taken over.
        refuse_copies: whether a test image that is the same picture as a training image, or as one with another label,
            is an error; or an unlabelled one the same as one of ``test``; else a sentence.
        masks_inverted: as ``inverted`` of ``read_mask``.
        test: the ``images.h5`` of the test images, which no image of a pool may be; None where nothing is compared.

    Returns:
        Sentences about images that do not fit the training images' values, also in the attribute ``warnings``.

    Raises:
        UserError: an image or mask cannot be read or changed since it was listed, a mask has another size than its
            image, or a pixel value that has no saturation; or copies are refused.
    """
    root = Path(root)
    files = [root / name for name in manifest["image_path"]]
    deep = [is_16_bit(file) for file in files]
    scale = _scale_of(train) if train else _scale(manifest, files, deep)
    made = json.dumps([made_with, image_size, scale])
    with writing(path) as temporary, RowsBefore(path, made) as before, new_hdf5(temporary) as packed:
        packed.attrs.update({"image_size": image_size, "dataset": dataset, "category": category, "made_with": made})
        if scale is not None:
            packed.attrs.update({"percentile_low": scale[0], "percentile_high": scale[1]})
        for name, values in (("image_id", manifest["image_id"]), ("sha256", manifest["sha256"])):
            packed.create_dataset(name, data=list(values), dtype=h5py.string_dtype())
        _pack_images(packed, files, list(manifest["sha256"]), image_size, scale or FULL_RANGE, before)
        empty = _pack_masks(packed, manifest, root, before, masks_inverted)
        if saturations is not None:
            _pack_defects(packed, manifest, root, saturations)
        warnings = _misfits(packed, train, scale, deep)
        if empty:
            warnings.append(f"{len(empty)} masks mark nothing ({_some(empty)})")
        copies = _copies(packed, manifest, train) + _tested(packed, test)
        if refuse_copies and copies:
            raise UserError(
                f"{root}: expected test images of '{category}' that are no training images or unlabelled ones and have "
                f"one label each, found that {'; '.join(copies)}; remove the copies, or set datasets.{dataset}.copies "
                "to warn."
            )
        warnings += copies
        packed.attrs["warnings"] = json.dumps(warnings, ensure_ascii=False)
    return warnings


def percentiles(images: Iterable[npt.NDArray[np.uint16]]) -> tuple[float, float]:
    """The percentiles 0.1 and 99.9 of all values of uint16 images, exact (inverted distribution function)."""
    counts = np.zeros(65536, np.int64)
    for image in images:
        counts += np.bincount(image.ravel(), minlength=65536)
    below = np.cumsum(counts)
    low, high = (int(np.searchsorted(below, below[-1] * percent / 100)) for percent in PERCENTILES)
    return float(low), float(high)


def _scale(manifest: pd.DataFrame, files: list[Path], deep: list[bool]) -> tuple[float, float] | None:
    if not any(deep):
        return None
    normals = [
        file for file, wide, split in zip(files, deep, manifest["split"], strict=True) if wide and split == "train"
    ]
    return percentiles(read_image(file).astype(np.uint16) for file in normals) if normals else FULL_RANGE


def _scale_of(path: str | Path) -> tuple[float, float] | None:
    with h5py.File(path) as file:
        return (file.attrs["percentile_low"], file.attrs["percentile_high"]) if "percentile_low" in file.attrs else None


def _pack_images(
    packed: h5py.File, files: list[Path], hashes: list[str], size: int, scale: tuple[float, float], before: RowsBefore
) -> None:
    from tqdm import tqdm

    shape, count = (size, size, 3), len(files)
    chunks = (1, *shape) if count else None
    options = COMPRESSION if count else {}
    packed.create_dataset("images", (count, *shape), np.uint8, chunks=chunks, **options)
    packed.create_dataset("pixels", (count,), h5py.string_dtype())
    packed.create_dataset("range", (count, 2), np.uint8)
    for row, file in enumerate(tqdm(files, unit="image", desc="images", mininterval=5, disable=None)):
        if before.take(hashes[row], packed, ("images", "pixels", "range"), row):
            continue
        if sha256(file) != hashes[row]:
            raise UserError(f"{file}: expected the file that was listed, found that it changed since; start again.")
        raw = read_image(file)
        image = resize_square(to_rgb8(raw, *scale), size)
        packed["images"][row] = image
        packed["pixels"][row] = _picture(raw)
        packed["range"][row] = np.percentile(image, PERCENTILES).round()


def _picture(raw: Raw) -> str:
    """A digest that is equal for equal pictures: grey ones in three channels, and 8 bits in 16, are what they were."""
    if raw.ndim == 3 and (raw == raw[..., :1]).all():
        raw = raw[..., 0]
    if raw.dtype == np.uint16 and not (raw % 257).any():
        raw = (raw // 257).astype(np.uint8)
    return _digest(repr((raw.shape, raw.dtype.str)).encode() + np.ascontiguousarray(raw).tobytes())


def _pack_masks(
    packed: h5py.File, manifest: pd.DataFrame, root: Path, before: RowsBefore, inverted: bool | None
) -> list[str]:
    """Pack the masks; the names of those that mark nothing."""
    empty = []
    masks = packed.create_group("masks")
    columns = ("image_id", "mask_path", "height", "width", "mask_sha256")
    for image_id, name, height, width, digest in zip(*(manifest[column] for column in columns), strict=True):
        if not name:
            continue
        earlier, made = before.file, json.dumps([digest, inverted])
        known = earlier["masks"].get(image_id) if earlier is not None else None
        if earlier is not None and known is not None and known.attrs.get("made_with") == made:
            earlier.copy(known, masks, image_id)
        else:
            mask = read_mask(root / name, inverted)
            _check_mask_size(root / name, mask.shape, (height, width))
            data = masks.create_dataset(image_id, data=mask, **COMPRESSION)
            data.attrs.update({"made_with": made, "marked": int(np.count_nonzero(mask))})
        if not masks[image_id].attrs["marked"]:
            empty.append(image_id)
    return empty


def _pack_defects(packed: h5py.File, manifest: pd.DataFrame, root: Path, saturations: Mapping[int, Saturation]) -> None:
    for image_id, name in zip(manifest["image_id"], manifest["mask_path"], strict=True):
        if name:
            defects = [read_defect(file, saturations) for file in mask_files(root / name)]
            write_defects(packed, image_id, np.stack([mask for mask, _ in defects]), [area for _, area in defects])


def _misfits(
    packed: h5py.File, train: str | Path | None, scale: tuple[float, float] | None, deep: list[bool]
) -> list[str]:
    """What makes images look other than the training images, or these other than each other, whatever is on them."""
    found = []
    if train is None:
        mixed = f"{len(deep) - sum(deep)} images have 8 bits and keep their values, {sum(deep)} have 16 and are scaled"
        return [mixed] if any(deep) and not all(deep) else []
    if any(deep) and scale in (None, FULL_RANGE):
        found.append(f"{sum(deep)} images have 16 bits and no training image has: their whole range becomes 0 to 255")
    if scale is not None and not all(deep):
        found.append(
            f"{len(deep) - sum(deep)} images have 8 bits where training images have 16: they keep their values"
        )
    with h5py.File(train) as file:
        if len(packed["range"]) and len(file["range"]):
            here, there = (np.median(each["range"][:], axis=0) for each in (packed, file))
            if (np.abs(here - there) > RANGE_OFF).any():
                found.append(
                    f"values go from {here[0]:.0f} to {here[1]:.0f} where training images' go from {there[0]:.0f} to "
                    f"{there[1]:.0f} (of 255; medians over images)"
                )
    return found


def _copies(packed: h5py.File, manifest: pd.DataFrame, train: str | Path | None) -> list[str]:
    """Sentences about pictures, equal pixel by pixel at their full size, that make figures of a test mean nothing."""
    trained = _pictures(train)
    known: dict[str, tuple[str, Any]] = {}
    as_trained, contradictory = [], []
    tested = manifest["split"] == "test"
    columns = (packed["pixels"].asstr()[:], manifest["image_id"], manifest["label"], tested)
    for pixels, name, label, in_test in zip(*columns, strict=True):
        if not in_test:
            continue
        if pixels in trained:
            as_trained.append(f"{name} is {trained[pixels]}")
        other, its_label = known.setdefault(pixels, (name, label))
        if its_label != label:
            contradictory.append(f"{name} is {other}")
    found = {"test images are training images": as_trained, "test images have two labels": contradictory}
    return [f"{len(names)} {what} ({_some(names)})" for what, names in found.items() if names]


def _tested(packed: h5py.File, test: str | Path | None) -> list[str]:
    """A sentence about unlabelled pictures that are tested as well: a choice from them would see the test."""
    tested = _pictures(test)
    columns = (packed["pixels"].asstr()[:], packed["image_id"].asstr()[:])
    names = [f"{name} is {tested[pixels]}" for pixels, name in zip(*columns, strict=True) if pixels in tested]
    return [f"{len(names)} unlabelled images are test images ({_some(names)})"] if names else []


def _pictures(path: str | Path | None) -> dict[str, str]:
    """image_ids by picture; none of a file that is not given."""
    if path is None:
        return {}
    with h5py.File(path) as file:
        return dict(zip(file["pixels"].asstr()[:], file["image_id"].asstr()[:], strict=True))


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if names[3:] else "")


def _check_mask_size(path: Path, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise UserError(
            f"{path}: expected a mask of its image's size, {expected[0]} x {expected[1]} px (height x width), "
            f"found {found[0]} x {found[1]}."
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
