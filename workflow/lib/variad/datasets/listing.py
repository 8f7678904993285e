"""Listing the images of a folder as every adapter does: by stem, in the order of their names."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from variad.errors import UserError
from variad.images import SUFFIXES


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder by name, hidden ones left out; a folder that is not there has none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder by stem, in the order of their names; a folder that is not there has none.

    Hidden files and files of other types are passed over.

    Raises:
        UserError: two images have the same stem, or a name cannot be written to a table.
    """
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        _check_name(path)
        if path.stem in found:
            raise UserError(f"{folder}: expected one image a stem, found {found[path.stem].name} and {path.name}.")
        found[path.stem] = path
    return found


def expected_images(folder: Path, what: str = "images") -> dict[str, Path]:
    """As ``images_by_stem``, of a folder that must hold some.

    Raises:
        UserError: the folder is missing or holds none. So for ``images_by_stem``.
    """
    found = images_by_stem(folder)
    if not found:
        missing = "none" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder}: expected {what} ({', '.join(SUFFIXES)}), found {missing}.")
    return found


def category_folder(root: Path, category: str, known: Iterable[str], dataset: str) -> Path:
    """The folder of a category of a published data set.

    Raises:
        UserError: the data set has no such category, or the root or the category's folder is missing.
    """
    if category not in known:
        raise UserError(f"data set {dataset}: expected a category of {', '.join(known)}, found '{category}'.")
    if not root.is_dir():
        raise UserError(f"{root}: expected the folder of data set {dataset}, found no such folder.")
    if not (root / category).is_dir():
        found = ", ".join(path.name for path in subfolders(root)) or "none"
        raise UserError(f"{root}: expected a folder of category '{category}', found {found}.")
    return root / category


def _check_name(path: Path) -> None:
    # Control characters break tables, lone surrogates stand for bytes that are not UTF-8.
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path.name):
        raise UserError(f"{path.parent}: expected file names in UTF-8 without control characters, found {path.name!a}.")
