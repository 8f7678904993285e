"""One picture per source: anomalies beside what they were made from, and rows of growing strength."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from variad.anomalies.anomaly_file import Strengths, read_anomalies, read_strengths
from variad.core.images import Images
from variad.report import drawing
from variad.report.drawing import Point, RealImages, open_real_images

EXAMPLES, GROUPS_A_ROW = 12, 3
TILE, GAP, HEAD, LABEL = 128, 12, 66, 34


def draw_anomalies(
    target: str | Path, title: str, images: str | Path, anomalies: str | Path, manifest: pd.DataFrame
) -> None:
    """Draw twelve anomalies, evenly spaced over run and strength, with their parents, then rows of growing strength.

    Args:
        target: picture to write.
        images, anomalies: the category's ``images.h5`` and the source's ``anomalies.h5``.
        manifest: the source's manifest.
    """
    places = np.linspace(0, len(manifest) - 1, min(EXAMPLES, len(manifest))).round().astype(int)
    shown = manifest.iloc[places]
    graded = bool((manifest["strength"] < 1).any())
    pictures, strengths = read_anomalies(anomalies, shown), read_strengths(anomalies)
    with open_real_images(images) as real:
        groups = [_group(real, row, picture, graded) for row, picture in zip(shown.itertuples(), pictures, strict=True)]
    size = max(len(group) for group in groups)
    across = min(len(groups), max(1, (2 * GROUPS_A_ROW) // size))
    lines = -(-len(groups) // across)
    columns = max(across * size, len(strengths.strength) if strengths else 0)
    rows = lines + (len(strengths.label) if strengths else 0)
    sheet = Image.new("RGB", (max(_left(columns, size) + GAP, 760), HEAD + rows * (TILE + LABEL) + GAP), drawing.PAPER)
    drawing.write(sheet, (GAP, 8), drawing.shorten(title, sheet.width - 2 * GAP, 19), 18, bold=True)
    drawing.write(sheet, (GAP, 36), f"{len(manifest)} anomalies, {len(shown)} shown", 15, drawing.FAINT)
    for number, group in enumerate(groups):
        for column, (caption, pixels) in enumerate(group, start=(number % across) * size):
            at = (_left(column, size), _top(number // across))
            _place(sheet, at, caption, pixels)
        drawing.frame(sheet, at, TILE, drawing.REJECTED, 3)
    if strengths:
        _place_strengths(sheet, strengths, lines)
    drawing.save(sheet, target)


def _group(real: RealImages, row: object, anomaly: Images, graded: bool) -> list[tuple[str, Images]]:
    """Captions and tiles: the parents that are images of the category, then the anomaly."""
    first, second, strength = (getattr(row, key) for key in ("parent_a", "parent_b", "strength"))
    mixed = bool(first and second)
    parents = [("style" if mixed else "normal", first), ("content", second)]
    tiles = [(name, real.image(parent)) for name, parent in parents[: 1 + mixed] if parent]
    caption = second if second and not first else f"strength {strength:g}" if graded else "anomaly"
    return [*tiles, (caption, anomaly)]


def _place_strengths(sheet: Image.Image, strengths: Strengths, first: int) -> None:
    for line, (label, row) in enumerate(zip(strengths.label, strengths.images, strict=True), start=first):
        for column, (strength, pixels) in enumerate(zip(strengths.strength, row, strict=True)):
            _place(sheet, (GAP + column * (TILE + GAP), _top(line)), f"strength {strength:g}", pixels)
        right = GAP + len(strengths.strength) * (TILE + GAP)
        for number, text in enumerate(drawing.wrap(label, max(120, sheet.width - right - GAP), 14, 4)):
            drawing.write(sheet, (right, _top(line) + 20 * number), text, 14, drawing.FAINT)


def _place(sheet: Image.Image, at: Point, caption: str, pixels: Images) -> None:
    sheet.paste(drawing.tile(pixels, TILE), at)
    drawing.write(sheet, (at[0], at[1] - 19), drawing.shorten(caption, TILE, 14), 14, drawing.FAINT)


def _left(column: int, size: int) -> int:
    # groups stand further apart than the tiles of one
    return GAP + column * (TILE + GAP) + (column // size) * 2 * GAP


def _top(line: int) -> int:
    return HEAD + 16 + line * (TILE + LABEL)
