"""From a classification data set to an anomaly data set: one class is normal, every other class is anomalous.

A category is the normal class. Its test anomalies are test images of the other classes, and ``defect`` is the name of
the class that an image shows, so that they can be evaluated together or class by class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from variad.datasets.interface import Entry, Split
from variad.errors import UserError
from variad.seeding import numpy_generator


@dataclass(frozen=True)
class ClassImage:
    """One image of a classification data set.

    Attributes:
        path: relative to the data set's root.
    """

    path: Path
    name: str
    split: Split


def class_task(images: Sequence[ClassImage], category: str, per_class: int | None, seed: int) -> list[Entry]:
    """Training normals, test normals, then test anomalies by class, each in the order of paths.

    Args:
        images: of every class.
        per_class: at most so many test images of each other class, drawn at random by (seed, class), the same ones
            whatever the normal class is; None for all.

    Raises:
        UserError: no class has the category's name, a class has the name of normal images, or ``per_class`` is no
            number of images.
    """
    by_class: dict[str, dict[str, list[Path]]] = {}
    for image in images:
        by_class.setdefault(image.name, {}).setdefault(image.split, []).append(image.path)
    if category not in by_class:
        known = sorted(by_class)
        some = ", ".join(known[:5]) + (f" ... ({len(known)} classes)" if len(known) > 5 else "")
        raise UserError(f"class data set: expected a category of {some or 'no class at all'}, found '{category}'.")
    if "good" in by_class:
        raise UserError("class data set: expected no class named 'good', which is what normal images are called.")
    if per_class is not None and per_class < 1:
        raise UserError(f"class data set, test_per_class: expected at least 1 or null, found {per_class}.")
    own = by_class.pop(category)
    entries = [Entry("train", "good", path) for path in sorted(own.get("train", []))]
    entries += [Entry("test", "good", path) for path in sorted(own.get("test", []))]
    for name in sorted(by_class):
        entries += [Entry("test", name, path) for path in _some(by_class[name].get("test", []), per_class, seed, name)]
    return entries


def _some(paths: Sequence[Path], number: int | None, seed: int, name: str) -> list[Path]:
    ordered = sorted(paths)
    if number is None or number >= len(ordered):
        return ordered
    chosen = numpy_generator(seed, "class_task", name).permutation(len(ordered))[:number]
    return [ordered[position] for position in sorted(chosen)]


def inner_folder(root: Path, name: str, needed: str) -> Path:
    """The folder that an archive unpacks to: ``root`` itself or ``root/name``, whichever holds ``needed``.

    Raises:
        UserError: neither does.
    """
    for folder in (root, root / name):
        if (folder / needed).exists():
            return folder
    raise UserError(f"{root}: expected {needed} in it, or in its folder {name}, found neither.")


def read_lines(path: Path) -> list[list[str]]:
    """The words of every line of a text file that is not empty.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a text file of the data set, found: {error}.") from error
