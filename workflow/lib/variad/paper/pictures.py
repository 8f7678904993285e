"""Figures 11, 13, 14 and 16: pairs of anomaly maps, and what each form of the latent makes of the same shot.

A row of figures 11, 13 and 14 shows the anomalous image of median score, its ground truth, and the maps of the shots
alone and with added images on one scale of colours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from variad.core.errors import UserError
from variad.core.records import picture_rows
from variad.paper.ablation_entries import BASELINE
from variad.report import drawing
from variad.report.drawing import Point, TileGrid, colour_scale, open_real_images
from variad.report.heatmaps import TILE, first_kept_run, map_path, read_map, tiles_of

# pixels
GAP = 10
TEXT_WIDTH = 190
HEAD = 100
FOOT = 34
BLOCK_WIDTH = TEXT_WIDTH + 4 * (TILE + GAP) + 2 * GAP
ABOUT = "anomalous image of median score by the shots alone; both maps of a row share their colours"
COLOURS = "colours: dark is low, yellow is high, in the detector's own unit"
ONE_BLOCK = 6  # rows; more are set in two blocks
# of the forms of the latent
RUN, MOST_ROWS = 0, 6
FORMS = TileGrid(tile=176, gap=12, left=150, head=70, text_width=126, under=30)
HEADS = {"mu": "mu", "mu_sigma": "mu + sigma", "mu_sigma_epsilon": "mu + sigma * epsilon"}

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
        real = images[pair[0]["dataset"], pair[0]["category"]]
        _draw_pair(sheet, (left, top), pair, maps[2 * number : 2 * number + 2], real)
    drawing.write(sheet, (GAP, sheet.height - FOOT + 8), COLOURS, 14, drawing.FAINT)
    drawing.save(sheet, target)


def _draw_pair(
    sheet: Image.Image, at: Point, pair: Sequence[Mapping[Any, Any]], maps: Sequence[Map], images: str | Path
) -> None:
    before, after = pair
    with open_real_images(images) as real:
        tiles = tiles_of(real, before["image_id"], 1, maps, (before["scale_low"], before["scale_high"]))
    for column, picture in enumerate(tiles):
        sheet.paste(picture, (at[0] + TEXT_WIDTH + column * (TILE + GAP), at[1]))
    width = TEXT_WIDTH - GAP
    drawing.write(sheet, (at[0], at[1] + 14), drawing.shorten(str(before["category"]), width, 17), 17, bold=True)
    for number, text in enumerate((before["defect"], f"score {before['score']:.4g} → {after['score']:.4g}")):
        drawing.write(sheet, (at[0], at[1] + 42 + 23 * number), drawing.shorten(text, width, 14), 14, drawing.FAINT)


def form_panels(entry: Mapping[str, Any], qualities: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """The table of schema ``form_panels``: the first image of run 0 of every form, of at most six categories.

    Args:
        entry: ``dataset``, ``categories``, ``scenario`` and ``training_sets`` by form.
        qualities: schema ``image_quality`` by (category, training set).
    """
    rows = []
    for category in entry["categories"][:MOST_ROWS]:
        for form, training_set in entry["training_sets"].items():
            table = qualities[category, training_set]
            first = table[table["run"] == RUN].drop(columns=["accepted", "diversity", "novelty"]).head(1)
            about = {"dataset": entry["dataset"], "category": category, "scenario": entry["scenario"]}
            rows += [{**about, "form": form, "training_set": training_set, **row} for row in first.to_dict("records")]
    return pd.DataFrame(rows)


def draw_form_panels(
    target: str | Path,
    title: str,
    panels: pd.DataFrame,
    images: Mapping[str, str | Path],
    added: Mapping[tuple[str, str], str | Path],
) -> None:
    """Draw a row a category: the shot, then what each form makes of it, with SSIM and PSNR.

    Args:
        target: PNG to write.
        panels: schema ``form_panels``.
        images: ``images.h5`` by category; added: ``added.h5`` by (category, training set).
    """
    categories, forms = (list(dict.fromkeys(panels[name])) for name in ("category", "form"))
    right, bottom = FORMS.at(max(1, len(categories)), 1 + len(forms))
    sheet = Image.new("RGB", (right + FORMS.gap, bottom), drawing.PAPER)
    drawing.write(sheet, (FORMS.gap, 8), drawing.shorten(title, sheet.width - 2 * FORMS.gap, 18), 18, bold=True)
    for column, head in enumerate(["original (the shot)", *(HEADS[form] for form in forms)]):
        at = (FORMS.at(0, column)[0], FORMS.head - 24)
        drawing.write(sheet, at, drawing.shorten(head, FORMS.tile, 14), 14, drawing.FAINT)
    for line, category in enumerate(categories):
        middle = FORMS.at(line, 0)[1] + FORMS.tile // 2
        rows = panels[panels["category"] == category].to_dict("records")
        drawing.write(sheet, (FORMS.gap, middle - 10), drawing.shorten(category, FORMS.text_width, 16), 16)
        with open_real_images(images[category]) as real:
            sheet.paste(drawing.tile(real.image(rows[0]["parent"]), FORMS.tile), FORMS.at(line, 0))
        for column, row in enumerate(rows, start=1):
            left, top = FORMS.at(line, column)
            with h5py.File(added[category, row["training_set"]]) as file:
                sheet.paste(drawing.tile(file["images"][picture_rows(file)[row["index"]]], FORMS.tile), (left, top))
            text = f"SSIM {row['ssim']:.2f}, PSNR {row['psnr']:.1f} dB"
            drawing.write(sheet, (left, top + FORMS.tile + 4), text, 13, drawing.FAINT)
    drawing.save(sheet, target)
