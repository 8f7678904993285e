"""Data sets that come with an installed package: solar cells, and class tasks on tiles of grey surfaces."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from variad.core.errors import UserError
from variad.core.files import package_folder
from variad.core.seeding import numpy_generator
from variad.datasets.adapters import Entry, images_by_stem, rendering
from variad.datasets.class_tasks import SPLITS, ClassDataset, ClassImage
from variad.datasets.textures import CATEGORIES as SURFACES
from variad.datasets.textures import ROWS, Grey, photograph

CELLS = ("mono", "poly")
UNSURE = (0.3333333333333333, 0.6666666666666666)  # probabilities as the package's list has them


@dataclass(frozen=True)
class Elpv:
    """ELPV: electroluminescence photographs of solar cells of one kind, from the package ``elpv-dataset``.

    2,624 cells of 300 x 300 px, CC BY-NC-SA 4.0. A cell with defect probability 0 is normal, one with 1 is anomalous,
    those between neither train nor test. There are no masks. Source: Buerhop-Lutz et al. 2018, Deitsch et al. 2019 and
    2021.

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
        unlabelled_good, unlabelled_defect: numbers of further normals and anomalies that nobody has sorted, those that
            come next in their permutation; with ``random`` alone.
        unlabelled_unsure: likewise of cells that experts were not sure about (probability 1/3 or 2/3).
    """

    split: Literal["random", "blocks"] = "random"
    train_good: int | None = 100
    test_good: int | None = 100
    test_defect: int | None = 100
    split_seed: int = 0
    unlabelled_good: int = 0
    unlabelled_defect: int = 0
    unlabelled_unsure: int = 0

    @property
    def root(self) -> Path:
        """The package's folder of labels and images."""
        return package_folder("elpv_dataset", "data set elpv", "elpv-dataset") / "data"

    def entries(self, category: str) -> list[Entry]:
        """Training normals, test normals, test anomalies and unlabelled cells, each in file order."""
        if category not in CELLS:
            raise UserError(f"data set elpv: expected the category mono or poly, found '{category}'.")
        normal, anomalous = self._cells(category, 0.0), self._cells(category, 1.0)
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
            *(
                Entry("unlabelled", "", path)
                for path in sorted(self._unlabelled(category, normal, anomalous, n_defect))
            ),
        ]

    def _unlabelled(self, category: str, normal: list[Path], anomalous: list[Path], tested: int) -> list[Path]:
        """What comes after the images that train or test, whose file names say nothing of a label."""
        used = {"good": sum(self._numbers(category, len(normal))), "defect": tested, "unsure": 0}
        left = {"good": normal, "defect": anomalous, "unsure": []}
        if self.unlabelled_unsure:
            left["unsure"] = self._shuffled(category, "unsure", self._cells(category, *UNSURE))
        found = []
        for kind, paths in left.items():
            number = getattr(self, f"unlabelled_{kind}")
            most = max(len(paths) - used[kind], 0) if self.split == "random" else 0
            if number > most:
                unless = "" if self.split == "random" else " with split blocks"
                raise UserError(
                    f"data set elpv, {category}, unlabelled_{kind}: expected at most {most}{unless}, found {number}."
                )
            found += paths[used[kind] : used[kind] + number]
        return found

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

    def _cells(self, category: str, *probabilities: float) -> list[Path]:
        rows = (line.split() for line in (self.root / "labels.csv").read_text("utf-8").splitlines() if line.strip())
        return sorted(Path(path) for path, value, kind in rows if kind == category and float(value) in probabilities)


@dataclass(frozen=True)
class PackageClasses(ClassDataset):
    """Tiles of five grey surfaces below ``root``, ``{train|test}/{class}/*.png``, put there by ``unpack``.

    They show what a class task is; real ones are CUB-200-2011 and Flowers-102. ``brick``, ``grass`` and ``gravel`` are
    photographs of scikit-image, ``mono`` and ``poly`` are solar cells of ``elpv-dataset`` without defects. Training
    tiles come from the upper half of a photograph and test tiles from the lower one, or from different cells.

    Attributes:
        seed: root seed of positions, cells and brightness, too.
        tile_size: side of a tile in pixels, 16 to 256.
        train, test: number of tiles of each class.
    """

    test_per_class: int | None = 20
    tile_size: int = 48
    train: int = 60
    test: int = 40

    def unpack(self) -> None:
        """Render every class into ``root``, which must be empty or not exist; complete or not at all."""
        if not 16 <= self.tile_size <= 256:
            raise UserError(f"data set package_classes, tile_size: expected 16 to 256, found {self.tile_size}.")
        with rendering(self.root) as folder:
            for split, number in zip(SPLITS, (self.train, self.test), strict=True):
                for name in (*SURFACES, *CELLS):
                    (folder / split / name).mkdir(parents=True)
                    for index, tile in enumerate(self._tiles(name, split, number)):
                        Image.fromarray(tile).save(folder / split / name / f"{index:03}.png")

    def images(self, category: str) -> Iterator[ClassImage]:
        for split in SPLITS:
            for name in (*SURFACES, *CELLS):
                for path in images_by_stem(self.root / split / name).values():
                    yield ClassImage(path.relative_to(self.root), name, split)

    def _tiles(self, name: str, split: str, number: int) -> list[Grey]:
        if name in CELLS:
            cells = Elpv(train_good=number, test_good=number, test_defect=0, split_seed=self.seed)
            paths = [entry.image_path for entry in cells.entries(name) if entry.split == split]
            sources = [np.asarray(Image.open(cells.root / path).convert("L")) for path in paths]
        else:
            sources = [photograph(name)[slice(*ROWS[split])]] * number
        return [
            _cut(source, self.tile_size, numpy_generator(self.seed, "package_classes", name, split, index))
            for index, source in enumerate(sources)
        ]


def _cut(source: Grey, size: int, generator: np.random.Generator) -> Grey:
    top, left = (int(generator.integers(0, side - size + 1)) for side in source.shape)
    tile = source[top : top + size, left : left + size].astype(np.float64)
    # brightness and contrast of every tile are brought near to each other: texture has to tell classes apart
    mean, spread = generator.uniform(110, 140), generator.uniform(25, 40)
    scaled = (tile - tile.mean()) / max(tile.std(), 1.0) * spread + mean
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
