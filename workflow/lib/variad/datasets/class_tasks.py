"""From a classification data set to an anomaly data set: one class is normal, every other class is anomalous.

A category is the normal class. Its test anomalies are test images of the other classes, and ``defect`` is the name of
the class that an image shows, so that they can be evaluated together or class by class.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variad.core.errors import UserError
from variad.core.seeding import numpy_generator
from variad.datasets.adapters import Entry, Split, images_by_stem, subfolders

SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class ClassImage:
    """One image of a classification data set.

    Attributes:
        path: relative to the data set's root.
    """

    path: Path
    name: str
    split: Split


@dataclass(frozen=True)
class ClassDataset(ABC):
    """A classification data set whose files lie below ``root``.

    Attributes:
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of which ones.
    """

    root: Path
    test_per_class: int | None = 5
    seed: int = 0

    @abstractmethod
    def images(self, category: str) -> Iterator[ClassImage]:
        """Every image that a category may need."""

    def entries(self, category: str) -> list[Entry]:
        """Training images of a class, its test images, and test images of the other classes.

        Raises:
            UserError: a file is missing or they contradict each other, a setting is out of range, or the class is
                unknown.
        """
        return class_task(list(self.images(category)), category, self.test_per_class, self.seed)


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
    for image in sorted(images, key=lambda image: image.path):
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
    entries = [Entry(split, "good", path) for split in SPLITS for path in own.get(split, [])]
    for name in sorted(by_class):
        paths = by_class[name].get("test", [])
        chosen = numpy_generator(seed, "class_task", name).permutation(len(paths))[:per_class]
        entries += [Entry("test", name, paths[position]) for position in sorted(chosen)]
    return entries


@dataclass(frozen=True)
class Cub(ClassDataset):
    """CUB-200-2011: 11,788 photographs of 200 kinds of birds, the unpacked archive.

    A category is a class such as ``001.Black_footed_Albatross``: about 30 training normals and as many test normals.
    ``images/{class}/*.jpg`` and the text files ``images.txt``, ``image_class_labels.txt``, ``train_test_split.txt`` (1
    trains), ``classes.txt``, all by number. Source: Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", 2011.
    """

    def images(self, category: str) -> Iterator[ClassImage]:
        home = _inner_folder(self.root, "CUB_200_2011", "images.txt")
        paths, classes, labels, trains = (
            _pairs(home / name)
            for name in ("images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt")
        )
        below = home.relative_to(self.root) / "images"
        for number, path in paths.items():
            label = labels.get(number, "")
            if label not in classes or trains.get(number) not in ("0", "1"):
                raise UserError(f"{home}: expected the class and the split of image {number}, found none.")
            yield ClassImage(below / path, classes[label], "train" if trains[number] == "1" else "test")


@dataclass(frozen=True)
class Flowers102(ClassDataset):
    """Oxford Flowers-102: 8,189 photographs of 102 kinds of flowers, the unpacked archive with two MAT files beside it.

    A category is a class from ``001`` to ``102``; the published training and validation sets (ten images of each class)
    train together. ``jpg/image_00001.jpg`` and on, ``imagelabels.mat`` (classes 1 to 102 by image), ``setid.mat``
    (numbers of images). Source: Nilsback and Zisserman, "Automated Flower Classification over a Large Number of
    Classes", 2008.
    """

    def images(self, category: str) -> Iterator[ClassImage]:
        sets = self.root / "setid.mat"
        splits: dict[str, Split] = {"trnid": "train", "valid": "train", "tstid": "test"}
        labels = _values(self.root / "imagelabels.mat", "labels")
        for key, split in splits.items():
            for number in _values(sets, key):
                if not 1 <= number <= len(labels):
                    raise UserError(f"{sets}: expected image numbers from 1 to {len(labels)}, found {number}.")
                yield ClassImage(Path("jpg") / f"image_{number:05}.jpg", f"{labels[number - 1]:03}", split)


@dataclass(frozen=True)
class TinyImagenet(ClassDataset):
    """Tiny-ImageNet: 200 classes, 500 training and 50 validation images of 64 px each, the unpacked archive.

    A category is a WordNet id such as ``n01443537``. ``train/{wnid}/images/*.JPEG``, ``val/images/*.JPEG`` with
    ``val/val_annotations.txt``, ``wnids.txt``. The published test images have no labels, so the validation images are
    tested on.
    """

    def images(self, category: str) -> Iterator[ClassImage]:
        home = _inner_folder(self.root, "tiny-imagenet-200", "wnids.txt")
        names = [words[0] for words in _read_lines(home / "wnids.txt")]
        annotations = home / "val" / "val_annotations.txt"
        for words in _read_lines(annotations):
            if len(words) < 2 or words[1] not in names:
                raise UserError(f"{annotations}: expected a file and a class of wnids.txt a line, found {words[:2]}.")
            yield ClassImage(home.relative_to(self.root) / "val/images" / words[0], words[1], "test")
        if category in names:  # only the normal class trains
            for path in images_by_stem(home / "train" / category / "images").values():
                yield ClassImage(path.relative_to(self.root), category, "train")


@dataclass(frozen=True)
class ClassFolders(ClassDataset):
    """Any classification data set with one folder of images a class, ``{root}/{class}/*``.

    A category is the name of a folder. Each class is split at random by (seed, class).

    Attributes:
        train_fraction: part of each class that trains, above 0 and below 1.
    """

    train_fraction: float = 0.5

    def images(self, category: str) -> Iterator[ClassImage]:
        if not self.root.is_dir():
            raise UserError(f"{self.root}: expected the folder of a data set, found no such folder.")
        if not 0 < self.train_fraction < 1:
            raise UserError(
                f"class data set, train_fraction: expected more than 0 and less than 1, found {self.train_fraction}."
            )
        for folder in subfolders(self.root):
            paths = list(images_by_stem(folder).values())
            order = numpy_generator(self.seed, "class_folders", folder.name).permutation(len(paths))
            trains = set(order[: round(self.train_fraction * len(paths))].tolist())
            for number, path in enumerate(paths):
                yield ClassImage(path.relative_to(self.root), folder.name, "train" if number in trains else "test")


def _inner_folder(root: Path, name: str, needed: str) -> Path:
    """The folder that an archive unpacks to: ``root`` itself or ``root/name``, whichever holds ``needed``."""
    for folder in (root, root / name):
        if (folder / needed).exists():
            return folder
    raise UserError(f"{root}: expected {needed} in it, or in its folder {name}, found neither.")


def _read_lines(path: Path) -> list[list[str]]:
    """The words of every line of a text file that is not empty."""
    try:
        return [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a text file of the data set, found: {error}.") from error


def _pairs(path: Path) -> dict[str, str]:
    pairs = {}
    for words in _read_lines(path):
        if len(words) != 2:
            raise UserError(f"{path}: expected a number and a value a line, found '{' '.join(words)}'.")
        pairs[words[0]] = words[1]
    return pairs


def _values(path: Path, key: str) -> list[int]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content: dict[str, Any] = loadmat(str(path))
        return [int(value) for value in content[key].ravel()]
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise UserError(f"{path}: expected a MAT file with {key}, found: {error}.") from error
