"""Figure 16: what each form of the latent makes of the same shot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
from PIL import Image

from variad.core.files import writing
from variad.report import drawing
from variad.report.drawing import open_real_images

RUN = 0
MOST_ROWS = 6
# pixels
TILE = 176
GAP = 12
LABEL_WIDTH = 150
HEAD = 70
UNDER = 30
HEADS = {"mu": "mu", "mu_sigma": "mu + sigma", "mu_sigma_epsilon": "mu + sigma * epsilon"}


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
    categories = list(dict.fromkeys(panels["category"]))
    forms = list(dict.fromkeys(panels["form"]))
    size = (LABEL_WIDTH + (1 + len(forms)) * (TILE + GAP) + GAP, HEAD + max(1, len(categories)) * (TILE + UNDER + GAP))
    sheet = Image.new("RGB", size, drawing.PAPER)
    drawing.write(sheet, (GAP, 8), drawing.shorten(title, size[0] - 2 * GAP, 18), 18, bold=True)
    for column, head in enumerate(["original (the shot)", *(HEADS[form] for form in forms)]):
        drawing.write(sheet, (_left(column), HEAD - 24), drawing.shorten(head, TILE, 14), 14, drawing.FAINT)
    for line, category in enumerate(categories):
        top = HEAD + line * (TILE + UNDER + GAP)
        rows = panels[panels["category"] == category].to_dict("records")
        drawing.write(sheet, (GAP, top + TILE // 2 - 10), drawing.shorten(category, LABEL_WIDTH - 2 * GAP, 16), 16)
        with open_real_images(images[category]) as real:
            sheet.paste(drawing.tile(real.image(rows[0]["parent"]), TILE), (_left(0), top))
        for column, row in enumerate(rows, start=1):
            with h5py.File(added[category, row["training_set"]]) as file:
                sheet.paste(drawing.tile(file["images"][row["index"]], TILE), (_left(column), top))
            text = f"SSIM {row['ssim']:.2f}, PSNR {row['psnr']:.1f} dB"
            drawing.write(sheet, (_left(column), top + TILE + 4), text, 13, drawing.FAINT)
    with writing(target) as temporary:
        sheet.save(temporary)


def _left(column: int) -> int:
    return LABEL_WIDTH + column * (TILE + GAP)
