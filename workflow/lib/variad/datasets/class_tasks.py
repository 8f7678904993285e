"""From a classification data set to an anomaly data set: one class is normal, every other class is anomalous.

A category is the normal class. Its test anomalies are test images of the other classes, and ``defect`` is the name of
the class that an image shows, so that they can be evaluated together or class by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variad.core.errors import UserError
from variad.core.seeding import numpy_generator
from variad.datasets.adapters import Entry, Split, images_by_stem, subfolders


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


# CUB-200-2011: 11,788 photographs of 200 kinds of birds, as class tasks.
#
# Source: Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", 2011. ``images/{class}/*.jpg`` and the text files
# ``images.txt``, ``image_class_labels.txt``, ``train_test_split.txt`` (1 trains), ``classes.txt``, all by number.

CUB_FOLDER = "CUB_200_2011"


@dataclass(frozen=True)
class Cub:
    """The unpacked archive; a category is a class such as ``001.Black_footed_Albatross``.

    Attributes:
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of which ones.
    """

    root: Path
    test_per_class: int | None = 5
    seed: int = 0

    def entries(self, category: str) -> list[Entry]:
        """About 30 training normals, as many test normals, and the test images of the other classes.

        Raises:
            UserError: a file is missing or they contradict each other, or the class is unknown.
        """
        home = inner_folder(self.root, CUB_FOLDER, "images.txt")
        paths, classes, labels, trains = (
            dict(_pairs(home / name))
            for name in ("images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt")
        )
        below = home.relative_to(self.root) / "images"
        images = []
        for number, path in paths.items():
            label = labels.get(number, "")
            if label not in classes or trains.get(number) not in ("0", "1"):
                raise UserError(f"{home}: expected the class and the split of image {number}, found none.")
            images.append(ClassImage(below / path, classes[label], "train" if trains[number] == "1" else "test"))
        return class_task(images, category, self.test_per_class, self.seed)


def _pairs(path: Path) -> list[tuple[str, str]]:
    lines = read_lines(path)
    for words in lines:
        if len(words) != 2:
            raise UserError(f"{path}: expected a number and a value a line, found '{' '.join(words)}'.")
    return [(words[0], words[1]) for words in lines]


# Oxford Flowers-102: 8,189 photographs of 102 kinds of flowers, as class tasks.
#
# Source: Nilsback and Zisserman, "Automated Flower Classification over a Large Number of Classes", 2008.
# ``jpg/image_00001.jpg`` and on, ``imagelabels.mat`` (classes 1 to 102 by image), ``setid.mat`` (``trnid``, ``valid``,
# ``tstid``: numbers of images).

SPLITS: dict[str, Split] = {"trnid": "train", "valid": "train", "tstid": "test"}


@dataclass(frozen=True)
class Flowers102:
    """The unpacked archive with the two MAT files beside ``jpg``; a category is a class from ``001`` to ``102``.

    The published training and validation sets (ten images of each class) train together.

    Attributes:
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of which ones.
    """

    root: Path
    test_per_class: int | None = 5
    seed: int = 0

    def entries(self, category: str) -> list[Entry]:
        """20 training normals, the test normals, and test images of the other classes.

        Raises:
            UserError: a file is missing or they contradict each other, or the class is unknown.
        """
        labels = _values(self.root / "imagelabels.mat", "labels")
        images = []
        for key, split in SPLITS.items():
            for number in _values(self.root / "setid.mat", key):
                if not 1 <= number <= len(labels):
                    raise UserError(
                        f"{self.root / 'setid.mat'}: expected image numbers from 1 to {len(labels)}, found {number}."
                    )
                images.append(ClassImage(Path("jpg") / f"image_{number:05}.jpg", f"{labels[number - 1]:03}", split))
        return class_task(images, category, self.test_per_class, self.seed)


def _values(path: Path, key: str) -> list[int]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content: dict[str, Any] = loadmat(str(path))
        return [int(value) for value in content[key].ravel()]
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise UserError(f"{path}: expected a MAT file with {key}, found: {error}.") from error


# Tiny-ImageNet: 200 classes, 500 training and 50 validation images of 64 px each, as class tasks.
#
# ``train/{wnid}/images/*.JPEG``, ``val/images/*.JPEG`` with ``val/val_annotations.txt``, ``wnids.txt``, ``words.txt``.
# The published test images have no labels, so the validation images are tested on.

TINY_IMAGENET_FOLDER = "tiny-imagenet-200"


@dataclass(frozen=True)
class TinyImagenet:
    """The unpacked archive; a category is a WordNet id such as ``n01443537``.

    Attributes:
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of which ones.
    """

    root: Path
    test_per_class: int | None = 5
    seed: int = 0

    def entries(self, category: str) -> list[Entry]:
        """500 training normals, 50 test normals, and test images of the other classes.

        Raises:
            UserError: a file is missing, or the class is unknown.
        """
        home = inner_folder(self.root, TINY_IMAGENET_FOLDER, "wnids.txt")
        names = [words[0] for words in read_lines(home / "wnids.txt")]
        below = home.relative_to(self.root)
        annotations = home / "val" / "val_annotations.txt"
        images = []
        for words in read_lines(annotations):
            if len(words) < 2 or words[1] not in names:
                raise UserError(f"{annotations}: expected a file and a class of wnids.txt a line, found {words[:2]}.")
            images.append(ClassImage(below / "val/images" / words[0], words[1], "test"))
        if category in names:  # only the normal class trains
            train = images_by_stem(home / "train" / category / "images").values()
            images += [ClassImage(path.relative_to(self.root), category, "train") for path in train]
        return class_task(images, category, self.test_per_class, self.seed)


# Any classification data set with one folder of images a class, ``{root}/{class}/*``, as class tasks.


@dataclass(frozen=True)
class ClassFolders:
    """Images of every class, split at random by (seed, class); a category is the name of a folder.

    Attributes:
        train_fraction: part of each class that trains, above 0 and below 1.
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of the split and of which ones.
    """

    root: Path
    train_fraction: float = 0.5
    test_per_class: int | None = 5
    seed: int = 0

    def entries(self, category: str) -> list[Entry]:
        """Training normals, test normals, and test images of the other classes.

        Raises:
            UserError: the root is missing, the class is unknown, or ``train_fraction`` is out of range.
        """
        if not self.root.is_dir():
            raise UserError(f"{self.root}: expected the folder of a data set, found no such folder.")
        if not 0 < self.train_fraction < 1:
            raise UserError(
                f"class data set, train_fraction: expected more than 0 and less than 1, found {self.train_fraction}."
            )
        images = [image for folder in subfolders(self.root) for image in self._of_class(folder)]
        return class_task(images, category, self.test_per_class, self.seed)

    def _of_class(self, folder: Path) -> list[ClassImage]:
        paths = list(images_by_stem(folder).values())
        order = numpy_generator(self.seed, "class_folders", folder.name).permutation(len(paths))
        trains = set(order[: round(self.train_fraction * len(paths))].tolist())
        return [
            ClassImage(path.relative_to(self.root), folder.name, "train" if number in trains else "test")
            for number, path in enumerate(paths)
        ]
