"""The manifest of a category: one row an image, in the order of everything that follows."""

from pathlib import Path

import pandas as pd

from variad.datasets.interface import Dataset, Entry
from variad.errors import UserError
from variad.files import sha256
from variad.images import mask_files, read_size


def index_category(dataset: Dataset, category: str) -> pd.DataFrame:
    """Rows of the schema ``manifest`` for every image of a category.

    Headers are read and files are hashed; whether pixels can be decoded shows when they are packed.

    Raises:
        UserError: the category is unknown or has no training images, a file is no image, or a mask has another size
            than its image.
    """
    root = dataset.root
    return pd.DataFrame([_row(root, category, entry) for entry in dataset.entries(category)])


def _row(root: Path, category: str, entry: Entry) -> dict[str, str | int | None]:
    height, width = read_size(root / entry.image_path)
    for file in mask_files(root / entry.mask_path) if entry.mask_path is not None else []:
        check_mask_size(file, read_size(file), (height, width))
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


def check_mask_size(path: Path, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise a ``UserError`` that names both sizes (height, width) if a mask's size is not its image's."""
    if found != expected:
        raise UserError(
            f"{path}: expected a mask of its image's size, {expected[0]} x {expected[1]} px (height x width), "
            f"found {found[0]} x {found[1]}."
        )
