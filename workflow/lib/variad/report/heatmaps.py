"""Heat maps: a sheet per cell with image, ground truth, map and score."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from variad.core.errors import UserError
from variad.report import drawing
from variad.report.drawing import RealImages, colour_scale, colourise, lookup_table, open_real_images

COUNT = 8
TILE = 128
GAP = 10
HEAD = 92
FOOT = 70
TEXT_WIDTH = 210
BLOCKS = 2  # side by side
BLOCK_WIDTH = 3 * (TILE + GAP) + TEXT_WIDTH
OPACITY = 0.55


def map_path(maps: str | Path, run: int, category: str, image_id: str) -> Path:
    """Where the map of an image lies below a cell's folder ``maps`` (MVTec's evaluator layout inside each run)."""
    return Path(maps, f"run_{run}", category, f"{image_id}.tiff")


def first_kept_run(maps: str | Path) -> int | None:
    """The lowest run whose maps were kept, or nothing."""
    runs = [int(folder.name.removeprefix("run_")) for folder in Path(maps).glob("run_*")]
    return min(runs, default=None)


def read_map(path: str | Path, size: int) -> NDArray[np.float32]:
    """Read a float32 map of any resolution as ``[size, size]``, averaged over the pixels that fall together.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    try:
        with Image.open(path) as stored:
            values = stored.convert("F") if stored.mode != "F" else stored
            shrinks = min(values.size) >= size
            method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
            return np.array(values.resize((size, size), method), dtype=np.float32)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: expected the anomaly map of a scored image, found no such file; "
            "delete the folder of maps to have the cell scored again."
        ) from error
    except OSError as error:
        raise UserError(f"{path}: expected an anomaly map as TIFF, found: {error}.") from error


def draw_heatmaps(
    target: str | Path, title: str, images: str | Path, scores: pd.DataFrame, maps: str | Path, category: str
) -> None:
    """Draw some maps of the first kept run of a cell beside image and ground truth, with one colour scale.

    Args:
        target: picture to write.
        title: what the sheet is about, in one line.
        images: the category's ``images.h5``.
        scores: table ``scores`` of the cell; without rows the sheet says that nothing was scored.
        maps: the cell's folder of ``run_{r}/{category}/{image_id}.tiff``.
        category: the folder's name inside a run.

    Raises:
        UserError: no run's maps were kept, or a map is missing.
    """
    run = first_kept_run(maps)
    if run is None and len(scores):
        raise UserError(f"{maps}: expected the maps of a run, found none; name one under config key keep_map_runs.")
    chosen = choose_images(scores[scores["run"] == run])
    values = [read_map(map_path(maps, run or 0, category, entry.image_id), TILE) for entry in chosen]
    low, high = colour_scale(values)
    rows = -(-len(chosen) // BLOCKS)
    width = GAP + min(BLOCKS, len(chosen)) * BLOCK_WIDTH
    sheet = Image.new("RGB", (max(width, 760), HEAD + rows * (TILE + GAP) + FOOT), drawing.PAPER)
    drawing.write(sheet, (GAP, 8), drawing.shorten(title, sheet.width - 2 * GAP, 18), 18)
    about = f"run {run}; one colour scale for all maps of this sheet" if chosen else "no test image was scored"
    drawing.write(sheet, (GAP, 34), about, 15, drawing.FAINT)
    with open_real_images(images) as real:
        for number, entry in enumerate(chosen):
            left, top = GAP + number // rows * BLOCK_WIDTH, HEAD + number % rows * (TILE + GAP)
            for column, head in enumerate(("image", "ground truth", "anomaly map")) if number % rows == 0 else ():
                drawing.write(sheet, (left + column * (TILE + GAP), top - 24), head, 14, drawing.FAINT)
            tiles = tiles_of(real, entry.image_id, entry.label, [values[number]], (low, high))
            for column, picture in enumerate(tiles):
                sheet.paste(picture, (left + column * (TILE + GAP), top))
            _describe_entry(sheet, (left + 3 * (TILE + GAP), top), entry)
    if chosen:
        _draw_colour_bar(sheet, low, high)
    drawing.save(sheet, target)


def choose_images(scores: pd.DataFrame, count: int = COUNT) -> list[Any]:
    """Pick test images of one run: likely false alarms, misses, clear hits, and the rest evenly over the ranking.

    Args:
        scores: rows of table ``scores`` of a single run. Ties are broken by image_id.

    Returns:
        At most ``count`` images, each once: named tuples of ``image_id``, ``label``, ``score``, ``rank`` (1 is the
        highest score of the run) and ``reason``.
    """
    ranked = scores.sort_values(["score", "image_id"], ascending=[False, True]).reset_index(drop=True)
    quarter = max(1, count // 4)
    normal, anomalous = (list(ranked.index[ranked["label"] == label]) for label in (0, 1))
    groups = [
        ("highest-scored normal", normal[:quarter]),
        ("lowest-scored anomaly", anomalous[::-1][:quarter]),
        ("highest-scored anomaly", anomalous[:quarter]),
    ]
    reasons: dict[int, str] = {}
    for reason, rows in groups:
        for row in rows:
            reasons.setdefault(row, reason)
    rest = [row for row in ranked.index if row not in reasons]
    free = min(count - len(reasons), len(rest))
    for at in np.linspace(0, len(rest) - 1, free) if free > 0 else []:
        reasons[rest[round(at)]] = "along the ranking"
    chosen = ranked.loc[list(reasons), ["image_id", "label", "score"]]
    chosen = chosen.assign(rank=chosen.index + 1, reason=list(reasons.values()))
    return list(chosen.itertuples(index=False, name="Chosen"))


def overlay(image: NDArray[np.uint8], values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """The map's colours over the greyed image, both ``[h, w]``; result ``[h, w, 3]`` uint8."""
    grey = image.astype(np.float32).mean(axis=2, keepdims=True)
    return np.round((1 - OPACITY) * grey + OPACITY * colourise(values, low, high)).astype(np.uint8)


def _describe_entry(sheet: Image.Image, at: drawing.Point, entry: Any) -> None:
    """Write score, label, rank, reason and name of an image."""
    left, top = at
    colour = drawing.REJECTED if entry.label else drawing.ACCEPTED
    drawing.write(sheet, (left, top + 2), f"{entry.score:.4g}", 22, bold=True)
    drawing.write(sheet, (left, top + 32), "anomalous" if entry.label else "normal", 15, colour, bold=True)
    lines = [f"rank {entry.rank}", entry.reason, *drawing.wrap(entry.image_id, TEXT_WIDTH - 2 * GAP, 13, 1)]
    for number, text in enumerate(lines):
        drawing.write(sheet, (left, top + 56 + 21 * number), text, 13, drawing.FAINT)


def tiles_of(
    real: RealImages, image_id: str, label: int, maps: Sequence[NDArray[np.float32]], scale: tuple[float, float]
) -> list[Image.Image]:
    """An image, its ground truth in white over the darkened image, and the image under each map, of ``TILE`` pixels.

    Args:
        maps: ``[TILE, TILE]``; scale: their lowest and highest colours.
    """
    image, mask = drawing.tile(real.image(image_id), TILE), real.mask(image_id)
    truth = drawing.blank_tile("no mask" if label else "normal", TILE)
    if mask is not None:
        small = Image.fromarray(mask).convert("L").resize((TILE, TILE), Image.Resampling.BOX)
        truth = image.point(lambda value: value * 0.4)
        # A defect of a few pixels must not vanish when the mask shrinks.
        truth.paste(drawing.PAPER, (0, 0), small.point(lambda value: 255 if value > 0 else 0))
    return [image, truth, *(Image.fromarray(overlay(np.asarray(image), values, *scale)) for values in maps)]


def _draw_colour_bar(sheet: Image.Image, low: float, high: float) -> None:
    length, top = 320, sheet.height - FOOT + 12
    bar = Image.fromarray(np.repeat(lookup_table()[None], 16, axis=0)).resize((length, 16))
    sheet.paste(bar, (GAP, top))
    for share, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        at, value = (GAP + round(share * length), top + 22), low + share * (high - low)
        drawing.write(sheet, at, f"{value:.3g}", 14, drawing.FAINT, anchor=anchor)
    unit = "anomaly map, the detector's own unit; higher is more anomalous"
    drawing.write(sheet, (GAP + length + 24, top - 2), unit, 14)
