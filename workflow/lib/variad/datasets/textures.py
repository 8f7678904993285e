"""Textures with *simulated* defects, on scikit-image's bundled photographs of brick, grass and gravel (CC0).

Each photograph is 512 x 512 px. Training tiles are cut from its upper half, test tiles from its lower half, so no pixel
is both trained on and tested. Tiles of one half may overlap; each has its own small change of brightness.
"""

import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from variad.datasets.folder import Folder
from variad.datasets.interface import Entry
from variad.datasets.simulated_defects import KINDS, Grey, draw_defect
from variad.errors import UserError
from variad.seeding import numpy_generator

CATEGORIES = ("brick", "grass", "gravel")
ROWS = {"train": (0, 256), "test": (256, 512)}


@dataclass(frozen=True)
class Tile:
    """One tile: what it is, where it was cut, and how it looks, ``[S, S]`` uint8 each.

    Attributes:
        clean: the tile before the defect was drawn; the same as ``image`` if there is none.
        mask: 255 inside the simulated defect, else 0; None for a good tile.
    """

    split: Literal["train", "test"]
    defect: str
    number: int
    top: int
    left: int
    clean: Grey
    image: Grey
    mask: Grey | None = None


@dataclass(frozen=True)
class Textures:
    """Tiles below ``root`` in MVTec AD's layout, put there by ``unpack``.

    Attributes:
        tile_size: side of a tile in pixels, 64 to 256.
        train_good: number of training tiles a category.
        test_good: number of good test tiles a category.
        defects_per_kind: number of test tiles with each kind of simulated defect.
        seed: root seed of positions, brightness and defects.
    """

    root: Path
    tile_size: int = 128
    train_good: int = 40
    test_good: int = 32
    defects_per_kind: int = 8
    seed: int = 0

    def unpack(self) -> None:
        """Render all three categories into ``root``, which must be empty or not exist; complete or not at all."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root.parent, prefix=f".{self.root.name}.") as folder:
            whole = Path(folder) / "whole"
            for category in CATEGORIES:
                for tile in self.tiles(category):
                    _save(whole / category, tile)
            whole.replace(self.root)

    def entries(self, category: str) -> list[Entry]:
        """The rendered tiles of a category.

        Raises:
            UserError: the category is unknown, or nothing was rendered yet.
        """
        if category not in CATEGORIES:
            raise UserError(f"data set textures: expected a category of {', '.join(CATEGORIES)}, found '{category}'.")
        return Folder(self.root).entries(category)

    def tiles(self, category: str) -> Iterator[Tile]:
        """Draw the tiles of a category. A tile depends on its own name and the seed only, not on how many there are."""
        if not 64 <= self.tile_size <= 256:
            raise UserError(f"data set textures, tile_size: expected 64 to 256, found {self.tile_size}.")
        for number in range(self.train_good):
            yield self._tile(category, "train", "good", number)
        for number in range(self.test_good):
            yield self._tile(category, "test", "good", number)
        for kind in KINDS:
            for number in range(self.defects_per_kind):
                yield self._tile(category, "test", kind, number)

    def _tile(self, category: str, split: Literal["train", "test"], defect: str, number: int) -> Tile:
        generator = numpy_generator(self.seed, "textures", category, split, defect, number)
        top, left, clean = self._cut(category, split, generator)
        if defect == "good":
            return Tile(split, defect, number, top, left, clean, clean)
        others = [name for name in CATEGORIES if name != category]
        _, _, foreign = self._cut(others[generator.integers(len(others))], split, generator)
        image, mask = draw_defect(clean, defect, foreign, generator)
        return Tile(split, defect, number, top, left, clean, image, mask)

    def _cut(self, category: str, split: str, generator: np.random.Generator) -> tuple[int, int, Grey]:
        source = photograph(category)
        first, last = ROWS[split]
        top = int(generator.integers(first, last - self.tile_size + 1))
        left = int(generator.integers(0, source.shape[1] - self.tile_size + 1))
        tile = source[top : top + self.tile_size, left : left + self.tile_size]
        gain, offset = generator.uniform(0.94, 1.06), generator.uniform(-5, 5)
        return top, left, np.clip(np.rint(tile * gain + offset), 0, 255).astype(np.uint8)


def photograph(category: str) -> Grey:
    """One of scikit-image's photographs, grey, ``[512, 512]``."""
    # Found without importing scikit-image, which takes longer than everything else here.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("data set textures: expected the package scikit-image to be installed, found none.")
    with Image.open(Path(spec.submodule_search_locations[0]) / "data" / f"{category}.png") as image:
        return np.asarray(image.convert("L"))


def _save(folder: Path, tile: Tile) -> None:
    _save_png(folder / tile.split / tile.defect / f"{tile.number:03}.png", tile.image)
    if tile.mask is not None:
        _save_png(folder / "ground_truth" / tile.defect / f"{tile.number:03}_mask.png", tile.mask)


def _save_png(path: Path, pixels: Grey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
