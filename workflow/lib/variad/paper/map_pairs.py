"""Figures 11, 13 and 14: anomaly maps of the shots alone beside those with added images.

A row shows the anomalous image of median score, its ground truth, and both maps on one scale of colours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from variad.core.errors import UserError
from variad.core.files import writing
from variad.paper.ablation_entries import BASELINE
from variad.report import drawing
from variad.report.drawing import colour_scale, open_real_images
from variad.report.heatmaps import TILE, first_kept_run, ground_truth_tile, map_path, overlay, read_map

# pixels
GAP = 10
TEXT_WIDTH = 190
HEAD = 100
FOOT = 34
BLOCK_WIDTH = TEXT_WIDTH + 4 * (TILE + GAP) + 2 * GAP
ABOUT = "anomalous image of median score by the shots alone; both maps of a row share their colours"
COLOURS = "colours: dark is low, yellow is high, in the detector's own unit"
ONE_BLOCK = 6  # rows; more are set in two blocks

Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScoredCell:
    """A cell with its table ``scores`` and its folder of maps."""

    key: Mapping[str, str]
    scores: pd.DataFrame
    maps: Path


def median_anomaly(scores: pd.DataFrame) -> str | None:
    """The anomalous image with the median score of one run, the lower of two; None where there is none.

    Args:
        scores: rows of table ``scores`` of a single run. Ties are broken by image_id.
    """
    anomalous = scores[scores["label"] == 1].sort_values(["score", "image_id"])
    return str(anomalous["image_id"].iloc[(len(anomalous) - 1) // 2]) if len(anomalous) else None


def map_pair(baseline: ScoredCell, other: ScoredCell) -> tuple[pd.DataFrame, list[Map]]:
    """Two rows of schema ``map_panels`` and their maps ``[TILE, TILE]``; nothing without an anomalous test image.

    The image is chosen by the baseline's scores in the first run whose maps were kept.

    Raises:
        UserError: the maps of no run were kept.
    """
    run = first_kept_run(baseline.maps)
    if run is None:
        raise UserError(f"{baseline.maps}: expected the maps of a run, found none; name one in study.keep_map_runs.")
    image_id = median_anomaly(baseline.scores[baseline.scores["run"] == run])
    if image_id is None:
        return pd.DataFrame(), []
    cells = (baseline, other)
    maps = [read_map(map_path(cell.maps, run, cell.key["category"], image_id), TILE) for cell in cells]
    low, high = colour_scale(maps)
    about = {"run": run, "image_id": image_id, "defect": image_id.split("/")[1], "scale_low": low, "scale_high": high}
    scores = [cell.scores.set_index(["run", "image_id"])["score"][run, image_id] for cell in cells]
    rows = [{**cell.key, **about, "score": float(score)} for cell, score in zip(cells, scores, strict=True)]
    return pd.DataFrame(rows), maps


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
            for column, head in enumerate(("image", "ground truth", BASELINE, str(pair[1]["training_set"]))):
                at = (left + TEXT_WIDTH + column * (TILE + GAP), HEAD - 24)
                drawing.write(sheet, at, drawing.shorten(head, TILE, 14), 14, drawing.FAINT)
        _draw_pair(sheet, (left, top), pair, maps[2 * number : 2 * number + 2], images)
    drawing.write(sheet, (GAP, sheet.height - FOOT + 8), COLOURS, 14, drawing.FAINT)
    with writing(target) as temporary:
        sheet.save(temporary)


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
