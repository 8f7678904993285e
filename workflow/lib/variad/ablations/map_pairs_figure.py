"""The pictures of figures 11, 13 and 14: a row an image, in one or two blocks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from variad.ablations.entries import BASELINE
from variad.ablations.map_pairs import Map
from variad.files import writing
from variad.report import drawing
from variad.report.heatmaps import TILE, ground_truth_tile, overlay
from variad.report.real_images import open_real_images

GAP = 10
TEXT_WIDTH = 190
HEAD = 100
FOOT = 34
BLOCK_WIDTH = TEXT_WIDTH + 4 * (TILE + GAP) + 2 * GAP
ABOUT = "anomalous image of median score by the shots alone; both maps of a row share their colours"
COLOURS = "colours: dark is low, yellow is high, in the detector's own unit"
ONE_BLOCK = 6  # rows; more are set in two blocks


def map_title(figure: str, cell: Mapping[str, str]) -> str:
    """One line about a figure of maps; ``cell`` is one of those beside the baseline."""
    name = figure.replace("_", " ").capitalize()
    return f"{name}: {cell['dataset']}, {cell['detector']}, {cell['scenario']}, original and {cell['training_set']}"


def draw_map_pairs(
    target: str | Path,
    title: str,
    panels: pd.DataFrame,
    maps: Sequence[Map],
    images: Mapping[tuple[str, str], str | Path],
) -> None:
    """Draw pairs of maps beside image and ground truth.

    Args:
        target: PNG to write.
        panels: schema ``map_panels``, two rows a pair, the baseline's first; maps in the same order.
        images: ``images.h5`` by (data set, category).
    """
    pairs = len(panels) // 2
    blocks = 2 if pairs > ONE_BLOCK else 1
    rows = max(1, -(-pairs // blocks))
    sheet = Image.new("RGB", (GAP + blocks * BLOCK_WIDTH, HEAD + rows * (TILE + GAP) + FOOT), drawing.PAPER)
    drawing.write(sheet, (GAP, 8), drawing.shorten(title, sheet.width - 2 * GAP, 18), 18, bold=True)
    about = ABOUT if pairs else "no category has an anomalous test image"
    drawing.write(sheet, (GAP, 36), drawing.shorten(about, sheet.width - 2 * GAP, 14), 14, drawing.FAINT)
    for number in range(pairs):
        left, top = GAP + number // rows * BLOCK_WIDTH, HEAD + number % rows * (TILE + GAP)
        pair = panels.iloc[2 * number : 2 * number + 2].to_dict("records")
        if number % rows == 0:
            _write_heads(sheet, left, str(pair[1]["training_set"]))
        _draw_pair(sheet, (left, top), pair, maps[2 * number : 2 * number + 2], images)
    drawing.write(sheet, (GAP, sheet.height - FOOT + 8), COLOURS, 14, drawing.FAINT)
    with writing(target) as temporary:
        sheet.save(temporary)


def _write_heads(sheet: Image.Image, left: int, training_set: str) -> None:
    for column, head in enumerate(("image", "ground truth", BASELINE, training_set)):
        at = (left + TEXT_WIDTH + column * (TILE + GAP), HEAD - 24)
        drawing.write(sheet, at, drawing.shorten(head, TILE, 14), 14, drawing.FAINT)


def _draw_pair(
    sheet: Image.Image,
    at: tuple[int, int],
    pair: Sequence[Mapping[Any, Any]],
    maps: Sequence[Map],
    images: Mapping[tuple[str, str], str | Path],
) -> None:
    before, after = pair
    with open_real_images(images[before["dataset"], before["category"]]) as real:
        image = drawing.tile(real.image(before["image_id"]), TILE)
        truth = ground_truth_tile(image, real.mask(before["image_id"]), 1)
    scale = (before["scale_low"], before["scale_high"])
    tiles = [image, truth, *(Image.fromarray(overlay(np.asarray(image), values, *scale)) for values in maps)]
    for column, picture in enumerate(tiles):
        sheet.paste(picture, (at[0] + TEXT_WIDTH + column * (TILE + GAP), at[1]))
    lines = [before["defect"], f"score {before['score']:.4g} → {after['score']:.4g}"]
    width = TEXT_WIDTH - GAP
    drawing.write(sheet, (at[0], at[1] + 14), drawing.shorten(str(before["category"]), width, 17), 17, bold=True)
    for number, text in enumerate(lines):
        drawing.write(sheet, (at[0], at[1] + 42 + 23 * number), drawing.shorten(text, width, 14), 14, drawing.FAINT)
