"""A small classification data set of what packages hold, as class tasks: tiles of five grey surfaces.

``brick``, ``grass`` and ``gravel`` are photographs of scikit-image, ``mono`` and ``poly`` are solar cells of
``elpv-dataset`` without defects. Tiles are small and have their own brightness, so that classes are told apart by
texture. Training tiles come from the upper half of a photograph and test tiles from the lower one, or from different
cells. They show what a class task is; real ones are CUB-200-2011 and Flowers-102.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from variad.datasets.class_task import ClassImage, class_task
from variad.datasets.elpv import Elpv
from variad.datasets.interface import Entry, Split
from variad.datasets.listing import images_by_stem
from variad.datasets.simulated_defects import Grey
from variad.datasets.textures import CATEGORIES as SURFACES
from variad.datasets.textures import ROWS, photograph
from variad.errors import UserError
from variad.seeding import numpy_generator

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
        sources = _cells(name, split, number, self.seed) if name in CELLS else [_half(name, split)] * number
        return [
            _cut(source, self.tile_size, numpy_generator(self.seed, "package_classes", name, split, index))
            for index, source in enumerate(sources)
        ]


def _half(name: str, split: str) -> Grey:
    first, last = ROWS[split]
    return photograph(name)[first:last]


def _cells(name: str, split: str, number: int, seed: int) -> list[Grey]:
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
