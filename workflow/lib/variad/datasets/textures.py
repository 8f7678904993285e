"""Textures with *simulated* defects, whose masks are exact by construction, on three photographs of scikit-image (CC0).

Each photograph is 512 x 512 px. Training tiles are cut from its upper half, test tiles from its lower half, so no pixel
is both trained on and tested. Tiles of one half may overlap; each has its own small change of brightness.

A defect is an effect blended in by a weight between 0 and 1 with soft edges. The mask is where the weight is at least
``EDGE``; below it the weight is set to 0, so that outside the mask the image *is* the clean one, bit for bit. A drawing
whose root mean square difference inside the mask stays below ``VISIBLE`` grey levels is thrown away and drawn again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from variad.core.errors import UserError
from variad.core.files import package_folder
from variad.core.seeding import numpy_generator
from variad.datasets.adapters import Entry, Split, rendering
from variad.datasets.own_folder import Folder

CATEGORIES = ("brick", "grass", "gravel")
ROWS = {"train": (0, 256), "test": (256, 512), "unlabelled": (0, 256)}
KINDS = ("blur", "foreign", "scratch", "stain")
EDGE = 0.125
VISIBLE = 8.0

Grey = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tile:
    """One tile: what it is, where it was cut, and how it looks, ``[S, S]`` uint8 each.

    Attributes:
        clean: the tile before the defect was drawn; the same as ``image`` if there is none.
        mask: 255 inside the simulated defect, else 0; None for a good tile.
    """

    split: Split
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
        unlabelled_good, unlabelled_per_kind: numbers of good tiles, and of tiles with each kind of simulated defect,
            from the half of training tiles, that nobody has sorted: named by numbers in a random order, without masks.
    """

    root: Path
    tile_size: int = 128
    train_good: int = 40
    test_good: int = 32
    defects_per_kind: int = 8
    seed: int = 0
    unlabelled_good: int = 0
    unlabelled_per_kind: int = 0

    def unpack(self) -> None:
        """Render all three categories into ``root``, which must be empty or not exist; complete or not at all."""
        with rendering(self.root) as folder:
            for category in CATEGORIES:
                order = numpy_generator(self.seed, "textures", category, "unlabelled", "order")
                names = iter(order.permutation(self.unlabelled_good + len(KINDS) * self.unlabelled_per_kind))
                for tile in self.tiles(category):
                    if tile.split == "unlabelled":
                        _save(folder / category / tile.split / f"{next(names):03}.png", tile.image)
                        continue
                    _save(folder / category / tile.split / tile.defect / f"{tile.number:03}.png", tile.image)
                    if tile.mask is not None:
                        _save(
                            folder / category / "ground_truth" / tile.defect / f"{tile.number:03}_mask.png", tile.mask
                        )

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
        yield from (self._tile(category, "train", "good", number) for number in range(self.train_good))
        yield from (self._tile(category, "test", "good", number) for number in range(self.test_good))
        for kind in KINDS:
            yield from (self._tile(category, "test", kind, number) for number in range(self.defects_per_kind))
        yield from (self._tile(category, "unlabelled", "good", number) for number in range(self.unlabelled_good))
        for kind in KINDS:
            yield from (self._tile(category, "unlabelled", kind, number) for number in range(self.unlabelled_per_kind))

    def _tile(self, category: str, split: Split, defect: str, number: int) -> Tile:
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
    # found without importing scikit-image, which takes longer than everything else here
    folder = package_folder("skimage", "data set textures", "scikit-image")
    with Image.open(folder / "data" / f"{category}.png") as image:
        return np.asarray(image.convert("L"))


def _save(path: Path, pixels: Grey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def draw_defect(clean: Grey, kind: str, foreign: Grey, generator: np.random.Generator) -> tuple[Grey, Grey]:
    """Draw one defect on a tile.

    Args:
        clean: grey tile ``[S, S]``.
        kind: one of ``KINDS``: ``blur`` (structure lost), ``foreign`` (another texture of the same mean and spread),
            ``scratch`` (a thin bright or dark stroke), ``stain`` (a patch lighter or darker).
        foreign: tile of another texture, ``[S, S]``; used by ``foreign`` only.

    Returns:
        The tile with the defect, and its mask (0 or 255), both ``[S, S]``.
    """
    for _ in range(1000):
        weight = _stroke(len(clean), generator) if kind == "scratch" else _patch(len(clean), generator)
        weight[weight < EDGE] = 0
        effect = _effect(clean.astype(float), kind, foreign.astype(float), weight > 0, generator)
        drawn = np.clip(np.rint(clean + weight * (effect - clean)), 0, 255).astype(np.uint8)
        difference = drawn.astype(float)[weight > 0] - clean[weight > 0]
        if difference.size and np.sqrt(np.mean(difference**2)) >= VISIBLE:
            return drawn, np.where(weight > 0, 255, 0).astype(np.uint8)
    raise ValueError(f"no visible defect of kind {kind!r} fits on this tile; is it flat?")


def _effect(
    clean: Field, kind: str, foreign: Field, inside: npt.NDArray[np.bool_], generator: np.random.Generator
) -> Field:
    # Steps of brightness are in units of the texture's own spread, or they would drown in a rough texture.
    step = generator.choice((-1.0, 1.0)) * clean.std()
    level = clean[inside].mean()
    if kind == "scratch":
        return level + generator.uniform(1.8, 3.2) * step + 0.2 * (clean - level)
    if kind == "stain":
        return level + generator.uniform(0.8, 1.8) * step + 0.3 * (clean - level)
    if kind == "blur":
        return np.asarray(gaussian_filter(clean, generator.uniform(1.2, 2.5)))
    if kind == "foreign":
        spread = clean[inside].std() / max(foreign[inside].std(), 1.0)
        return np.asarray((foreign - foreign[inside].mean()) * spread + level)
    raise ValueError(f"unknown kind of defect {kind!r}")


def _patch(size: int, generator: np.random.Generator) -> Field:
    """An ellipse with an uneven, soft outline, wholly inside the tile; 1.5 to 7 % of its area."""
    radii = generator.uniform(0.07, 0.15, 2) * size
    row, column = generator.uniform(0.2, 0.8, 2) * size
    angle = generator.uniform(0, np.pi)
    rows, columns = np.mgrid[:size, :size] - np.array([row, column])[:, None, None]
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    wobble = gaussian_filter(generator.standard_normal((size, size)), size / 16)
    outline = 1 + 0.15 * wobble / wobble.std() - np.hypot(along / radii[0], across / radii[1])
    return np.asarray(np.clip(outline / 0.4 + 0.5, 0, 1))


def _stroke(size: int, generator: np.random.Generator) -> Field:
    """A bent stroke of 1.2 to 2.4 px in a tile of 128, a quarter to a half of the tile long."""
    scale, length = 4, generator.uniform(0.25, 0.5) * size
    angle, bend = generator.uniform(0, 2 * np.pi), generator.uniform(-0.2, 0.2) * length
    centre = generator.uniform(0.3, 0.7, 2) * size
    along = np.array([np.cos(angle), np.sin(angle)])
    t = np.linspace(-0.5, 0.5, 33)[:, None]
    points = centre + length * t * along + bend * (4 * t**2 - 0.5) * along[::-1] * (1, -1)
    canvas = Image.new("L", (size * scale, size * scale))
    width = round(generator.uniform(1.2, 2.4) * scale * size / 128)
    ImageDraw.Draw(canvas).line(
        [tuple(point) for point in points * scale], fill=255, width=max(1, width), joint="curve"
    )
    drawn = np.asarray(canvas.resize((size, size), Image.Resampling.BOX), float)
    soft = gaussian_filter(drawn, 0.6)
    return np.asarray(soft / max(soft.max(), 1.0))
