"""Images for both sides of ``detectors.py``, on disk, where each side reads them in its own way."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
CATEGORIES = {"mono": "elpv", "poly": "elpv", "brick": "textures", "grass": "textures", "gravel": "textures"}


def write_images(
    folder: Path, category: str, seed: int, size: int, train: int, test: int, compress_level: int = 6
) -> None:
    """Draw a split by its seed: PNGs in ``train``, ``test/good`` and ``test/defect``, masks of those that have one.

    Args:
        test: number of normal, and of anomalous, test images.
        compress_level: of the PNGs, 0 to 9; 0 only copies.
    """
    draw = _cells if CATEGORIES[category] == "elpv" else _tiles
    numbers: dict[str, int] = {}
    for kind, image, mask in draw(category, seed, size, train, test):
        number = numbers[kind] = numbers.get(kind, -1) + 1
        _save(folder / kind / f"{number:03}.png", image, compress_level)
        if mask is not None:
            _save(folder / "masks" / f"{number:03}.png", mask, compress_level)


def _cells(category: str, seed: int, size: int, train: int, test: int) -> Iterator[tuple[str, Pixels, None]]:
    from variad.core.images import read_image, resize_square, to_rgb8
    from variad.datasets.packaged import Elpv

    cells = Elpv(split_seed=seed, train_good=train, test_good=test, test_defect=test)
    for entry in cells.entries(category):
        kind = "train" if entry.split == "train" else f"test/{entry.defect}"
        yield kind, resize_square(to_rgb8(read_image(cells.root / entry.image_path)), size), None


def _tiles(category: str, seed: int, size: int, train: int, test: int) -> Iterator[tuple[str, Pixels, Pixels | None]]:
    from variad.datasets.textures import KINDS, Textures

    each = -(-test // len(KINDS))
    tiles = Textures(Path(), size, train_good=train, test_good=test, defects_per_kind=each, seed=seed)
    for tile in tiles.tiles(category):
        kind = "train" if tile.split == "train" else "test/good" if tile.defect == "good" else "test/defect"
        yield kind, np.repeat(tile.image[..., None], 3, axis=2), tile.mask


def _save(path: Path, pixels: Pixels, compress_level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=compress_level)


def read_images(folder: Path) -> Pixels:
    """The PNGs of a folder in the order of their names, ``[N, S, S, 3]``."""
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))])


def read_masks(folder: Path) -> list[NDArray[np.bool_]]:
    """Masks of the test images, normal ones first as ``image_names`` has them; empty if there are none."""
    masks = [np.asarray(Image.open(path)) > 0 for path in sorted((folder / "masks").glob("*.png"))]
    if not masks:
        return []
    return [np.zeros_like(masks[0])] * len(list((folder / "test/good").glob("*.png"))) + masks


def image_names(folder: Path) -> list[str]:
    """Names of the test images, ``good/000.png`` and so on, normal ones first."""
    return [f"{kind}/{path.name}" for kind in ("good", "defect") for path in sorted((folder / "test" / kind).iterdir())]
