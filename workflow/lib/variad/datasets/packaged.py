"""ELPV: electroluminescence photographs of solar cells, from the package ``elpv-dataset``.

2,624 cells of 300 x 300 px, CC BY-NC-SA 4.0. Source: Buerhop-Lutz et al. 2018, Deitsch et al. 2019 and 2021. A cell
with defect probability 0 is normal, one with 1 is anomalous, those between are left out. There are no masks."""

import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from variad.core.errors import UserError
from variad.core.seeding import numpy_generator
from variad.datasets.adapters import Entry, Split, images_by_stem
from variad.datasets.class_tasks import ClassImage, class_task
from variad.datasets.textures import CATEGORIES as SURFACES
from variad.datasets.textures import ROWS, Grey, photograph

CATEGORIES = ("mono", "poly")


@dataclass(frozen=True)
class Elpv:
    """Cells of one kind, split into training normals, test normals and test anomalies.

    Attributes:
        split: ``random`` permutes the normals and the anomalies, each with its own generator of ``split_seed``; the
            first ``test_good`` normals are tested, the next ``train_good`` train, and the first ``test_defect``
            anomalies are tested. Cells of one module fall on both sides, as on one production line. ``blocks`` is
            stricter: in file order, where neighbours look alike, the last ``train_good`` normals train; all test cells
            come before the first of them, namely the first ``test_good`` normals and the first ``test_defect``
            anomalies. (Not the other way round: nearly all of mono's first 200 cells are anomalous.)
        train_good: number of training normals; None for all that the test leaves over.
        test_good: number of test normals; None for all that training leaves over, or for half of the normals, rounded
            down, if ``train_good`` is None as well.
        test_defect: number of test anomalies; None for all (with ``blocks``: all before the first training cell).
        split_seed: root seed of ``random``; not used by ``blocks``.
    """

    split: Literal["random", "blocks"] = "random"
    train_good: int | None = 100
    test_good: int | None = 100
    test_defect: int | None = 100
    split_seed: int = 0

    @property
    def root(self) -> Path:
        """The package's folder of labels and images, found without importing the package."""
        spec = importlib.util.find_spec("elpv_dataset")
        if spec is None or not spec.submodule_search_locations:
            raise UserError("data set elpv: expected the package elpv-dataset to be installed, found none.")
        return Path(spec.submodule_search_locations[0]) / "data"

    def entries(self, category: str) -> list[Entry]:
        """Training normals, test normals and test anomalies, each in file order."""
        if category not in CATEGORIES:
            raise UserError(f"data set elpv: expected the category mono or poly, found '{category}'.")
        normal, anomalous = _cell_paths(self.root, category, 0.0), _cell_paths(self.root, category, 1.0)
        n_train, n_test = self._numbers(category, len(normal))
        if self.split == "random":
            normal, anomalous = self._shuffled(category, "good", normal), self._shuffled(category, "defect", anomalous)
            test, train = normal[:n_test], normal[n_test : n_test + n_train]
        else:
            test, train = normal[:n_test], normal[len(normal) - n_train :]
            anomalous = [path for path in anomalous if path < train[0]]
        n_defect = len(anomalous) if self.test_defect is None else self.test_defect
        if n_defect > len(anomalous):
            raise UserError(
                f"data set elpv, {category}, test_defect: expected at most {len(anomalous)}, found {n_defect}."
            )
        return [
            *(Entry("train", "good", path) for path in sorted(train)),
            *(Entry("test", "good", path) for path in sorted(test)),
            *(Entry("test", "defect", path) for path in sorted(anomalous[:n_defect])),
        ]

    def _numbers(self, category: str, available: int) -> tuple[int, int]:
        train, test = self.train_good, self.test_good
        if test is None:
            test = available // 2 if train is None else available - train
        if train is None:
            train = available - test
        if train < 1 or test < 0 or train + test > available:
            raise UserError(
                f"data set elpv, {category}: expected train_good of at least 1 and train_good + test_good of at most "
                f"{available}, found {self.train_good} and {self.test_good}."
            )
        return train, test

    def _shuffled(self, category: str, kind: str, paths: list[Path]) -> list[Path]:
        order = numpy_generator(self.split_seed, "elpv", category, kind).permutation(len(paths))
        return [paths[position] for position in order]


def _cell_paths(root: Path, category: str, probability: float) -> list[Path]:
    rows = (line.split() for line in (root / "labels.csv").read_text("utf-8").splitlines() if line.strip())
    return sorted(Path(path) for path, value, kind in rows if kind == category and float(value) == probability)


# A small classification data set of what packages hold, as class tasks: tiles of five grey surfaces.
#
# ``brick``, ``grass`` and ``gravel`` are photographs of scikit-image, ``mono`` and ``poly`` are solar cells of
# ``elpv-dataset`` without defects. Tiles are small and have their own brightness, so that classes are told apart by
# texture. Training tiles come from the upper half of a photograph and test tiles from the lower one, or from different
# cells. They show what a class task is; real ones are CUB-200-2011 and Flowers-102.

CELLS = ("mono", "poly")
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class PackageClasses:
    """Tiles below ``root``, ``{train|test}/{class}/*.png``, put there by ``unpack``.

    Attributes:
        tile_size: side of a tile in pixels, 16 to 256.
        train, test: number of tiles of each class.
        test_per_class: at most so many test images of each other class; None for all.
        seed: root seed of positions, cells and brightness.
    """

    root: Path
    tile_size: int = 48
    train: int = 60
    test: int = 40
    test_per_class: int | None = 20
    seed: int = 0

    def unpack(self) -> None:
        """Render every class into ``root``, which must be empty or not exist; complete or not at all."""
        if not 16 <= self.tile_size <= 256:
            raise UserError(f"data set package_classes, tile_size: expected 16 to 256, found {self.tile_size}.")
        self.root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root.parent, prefix=f".{self.root.name}.") as folder:
            whole = Path(folder) / "whole"
            for split, number in zip(SPLITS, (self.train, self.test), strict=True):
                for name in (*SURFACES, *CELLS):
                    (whole / split / name).mkdir(parents=True)
                    for index, tile in enumerate(self._tiles(name, split, number)):
                        Image.fromarray(tile).save(whole / split / name / f"{index:03}.png")
            whole.replace(self.root)

    def entries(self, category: str) -> list[Entry]:
        """Training tiles of one class, its test tiles, and test tiles of the other classes.

        Raises:
            UserError: the class is unknown, or nothing was rendered yet.
        """
        images = [
            ClassImage(path.relative_to(self.root), name, split)
            for split in SPLITS
            for name in (*SURFACES, *CELLS)
            for path in images_by_stem(self.root / split / name).values()
        ]
        return class_task(images, category, self.test_per_class, self.seed)

    def _tiles(self, name: str, split: str, number: int) -> list[Grey]:
        sources = _solar_cells(name, split, number, self.seed) if name in CELLS else [_half(name, split)] * number
        return [
            _cut(source, self.tile_size, numpy_generator(self.seed, "package_classes", name, split, index))
            for index, source in enumerate(sources)
        ]


def _half(name: str, split: str) -> Grey:
    first, last = ROWS[split]
    return photograph(name)[first:last]


def _solar_cells(name: str, split: str, number: int, seed: int) -> list[Grey]:
    dataset = Elpv(train_good=number, test_good=number, test_defect=0, split_seed=seed)
    paths = [entry.image_path for entry in dataset.entries(name) if entry.split == split]
    return [np.asarray(Image.open(dataset.root / path).convert("L")) for path in paths]


def _cut(source: Grey, size: int, generator: np.random.Generator) -> Grey:
    top, left = (int(generator.integers(0, side - size + 1)) for side in source.shape)
    tile = source[top : top + size, left : left + size].astype(np.float64)
    # brightness and contrast of every tile are brought near to each other: texture has to tell classes apart
    mean, spread = generator.uniform(110, 140), generator.uniform(25, 40)
    scaled = (tile - tile.mean()) / max(tile.std(), 1.0) * spread + mean
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
