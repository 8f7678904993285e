"""Training sets under each other: what each makes of the same shots."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from variad.files import writing
from variad.report import drawing
from variad.report.added_table import read_added_table
from variad.report.real_images import RealImages, open_real_images

COLUMNS = 6
TILE = 132
GAP = 10
HEAD = 44
TEXT_WIDTH = 250


def draw_side_by_side(
    target: str | Path, title: str, images: str | Path, names: Sequence[str], added: Sequence[str | Path], run: int = 0
) -> None:
    """Draw a row a training set: its name, a parent, and images made of it; sets without images are left out.

    Args:
        target: PNG to write.
        images: the category's ``images.h5``.
        names, added: training sets and their ``added.h5``.
        run: whose images are shown, those of its first shot.
    """
    with open_real_images(images) as real:
        rows = [(name, tiles) for name, path in zip(names, added, strict=True) if (tiles := _tiles(real, path, run))]
        sheet = _sheet(title, rows)
    with writing(target) as temporary:
        sheet.save(temporary)


def _tiles(real: RealImages, path: str | Path, run: int) -> list[np.ndarray]:
    """The first parent of a run and what was made of it, at most ``COLUMNS`` images; nothing if nothing was added."""
    rows = read_added_table(path).rows
    rows = rows[rows["run"] == run]
    if rows.empty:
        return []
    parent = rows["parent"].iloc[0]
    chosen = [int(index) for index in rows.index[rows["parent"] == parent][: COLUMNS - 1]]
    with h5py.File(path) as file:
        return [real.image(parent), *(file["images"][index] for index in chosen)]


def _sheet(title: str, rows: Sequence[tuple[str, list[np.ndarray]]]) -> Image.Image:
    width = TEXT_WIDTH + COLUMNS * (TILE + GAP) + GAP
    sheet = Image.new("RGB", (width, HEAD + max(1, len(rows)) * (TILE + GAP) + GAP), drawing.PAPER)
    drawing.write(sheet, (GAP, 10), drawing.shorten(title, width - 2 * GAP, 18), 18, bold=True)
    for line, (name, tiles) in enumerate(rows):
        top = HEAD + line * (TILE + GAP)
        drawing.write(sheet, (GAP, top + TILE // 2 - 10), drawing.shorten(name, TEXT_WIDTH - 2 * GAP, 16), 16)
        for column, pixels in enumerate(tiles):
            sheet.paste(drawing.tile(pixels, TILE), (TEXT_WIDTH + column * (TILE + GAP), top))
        drawing.frame(sheet, (TEXT_WIDTH, top), TILE, drawing.FAINT)
    return sheet
