"""ELPV: electroluminescence photographs of solar cells, from the package ``elpv-dataset``.

2,624 cells of 300 x 300 px, CC BY-NC-SA 4.0. Source: Buerhop-Lutz et al. 2018, Deitsch et al. 2019 and 2021. A cell
with defect probability 0 is normal, one with 1 is anomalous, those between are left out. There are no masks.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from variad.datasets.interface import Entry
from variad.errors import UserError
from variad.seeding import numpy_generator

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
        normal, anomalous = _cells(self.root, category, 0.0), _cells(self.root, category, 1.0)
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


def _cells(root: Path, category: str, probability: float) -> list[Path]:
    rows = (line.split() for line in (root / "labels.csv").read_text("utf-8").splitlines() if line.strip())
    return sorted(Path(path) for path, value, kind in rows if kind == category and float(value) == probability)
