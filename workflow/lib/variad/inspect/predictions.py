"""A pile of unlabelled photographs, ranked: its tables, heat maps named after the photographs, a page, and a few lines
for a terminal. The answers, regions and pictures are those of the inspector."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from variad.core.files import write_text
from variad.detectors.anomaly_map import MapSize
from variad.detectors.interface import Extractor
from variad.inspect.answers import Answers
from variad.inspect.page import GoodPhotograph, PageEntry
from variad.inspect.pictures import (
    LARGEST,
    MAP_SIDE,
    MapScale,
    draw_boxes,
    heat_map_name,
    laid_over,
    nearest_good,
    scale_above,
    shrunk_size,
    thumbnail,
)
from variad.inspect.regions import Region, find_regions
from variad.report.drawing import RealImages, save
from variad.report.heatmaps import read_map

SHOWN = 20  # photographs that a terminal lists
GOOD_SHOWN = 64  # training photographs, at most
_WORDS = {"bad": "bad", "look": "to look at", "good": "good"}
_BOX = list(Region.__annotations__)


def photograph_name(image_id: str, image_path: str) -> str:
    """What a person calls an unlabelled photograph: its path below ``unlabelled``, with its extension."""
    return image_id.removeprefix("unlabelled/") + Path(image_path).suffix


def predictions_table(
    manifest: pd.DataFrame, scores: NDArray[np.float32], held_out: NDArray[np.bool_], answers: Answers
) -> pd.DataFrame:
    """Table ``predictions``, but for ``regions``: the most anomalous first, equal scores by name.

    Without a threshold nothing is said but the rank.

    Args:
        manifest: of the N photographs; scores: theirs, ``[N]``.
        held_out: which are in the training set, so that a detector scored them that saw nothing of them, ``[N]``.
    """
    table = manifest[["image_id"]].assign(score=scores.astype(float), held_out=held_out)
    paths = zip(manifest["image_id"], manifest["image_path"], strict=True)
    table["photograph"] = [photograph_name(*named) for named in paths]
    table = table.sort_values(["score", "image_id"], ascending=[False, True], ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    table["threshold"] = np.nan if answers.bad is None else answers.bad
    table["anomalous"] = None if answers.bad is None else table["score"] > answers.bad
    table["answer"] = [answers.answer(score) or "" for score in table["score"]]
    table["calibrated"] = [answers.calibrated(score) for score in table["score"]]
    table["multiple"] = [answers.multiple(score) for score in table["score"]]
    return table


def regions_table(
    manifest: pd.DataFrame, maps: NDArray[np.float32], extractor: Extractor, sigma: float, threshold: float | None
) -> pd.DataFrame:
    """Table ``regions`` of N photographs, the highest peak of each first.

    Args:
        maps: ``[N, h, w]``, of the detector; sigma: as in ``MapSize``.
        threshold: of the maps.
    """
    rows = []
    sizes = zip(manifest["image_id"], manifest["height"], manifest["width"], maps, strict=True)
    for name, height, width, patch_map in sizes:
        size = MapSize(int(height), int(width), extractor.resolution, extractor.crop, sigma)
        rows += [{"image_id": name, **vars(region)} for region in find_regions(patch_map, size, threshold)]
    return pd.DataFrame(rows, columns=["image_id", *_BOX])


def regions_by_image(table: pd.DataFrame) -> dict[str, list[Region]]:
    """The regions of each photograph that has any."""
    found: dict[str, list[Region]] = {}
    for row in _rows(table):
        found.setdefault(row.image_id, []).append(Region(*(getattr(row, name) for name in _BOX)))
    return found


def map_scale(answers: Answers, maps: Sequence[NDArray[np.float32]]) -> MapScale:
    """The colours' scale of all maps ``[h, w]``; without a threshold from their median to their highest value."""
    if scale := scale_above(answers.pixel, answers.held_out.peak):
        return scale
    low, high = np.quantile(np.concatenate([values.ravel() for values in maps]), [0.5, 1.0])
    return MapScale(float(low), float(high) if high > low else float(low) + 1)


def draw_predictions(
    folder: Path, real: RealImages, predictions: pd.DataFrame, regions: pd.DataFrame, answers: Answers
) -> None:
    """Write ``{photograph}.png``: the photograph under its anomaly map, with a box around every region.

    It has the photograph's own size, or 2048 pixels on the longer side if that is larger; there is one in memory at a
    time.

    Args:
        folder: holds the maps, ``{image_id}.tiff``.
    """
    if predictions.empty:
        return
    scale = map_scale(answers, [read_map(folder / f"{name}.tiff", MAP_SIDE) for name in predictions["image_id"]])
    boxes = regions_by_image(regions)
    bar = tqdm(_rows(predictions), total=len(predictions), unit="image", desc="heat maps", mininterval=5, disable=None)
    for row in bar:
        with Image.open(folder / f"{row.image_id}.tiff") as stored:
            height, width = shrunk_size(stored.height, stored.width, LARGEST)
            factor = width / stored.width
            values = np.asarray(stored.resize((width, height), Image.Resampling.BILINEAR))
        picture = Image.fromarray(real.image(row.image_id)).resize((width, height), Image.Resampling.BICUBIC)
        sheet = Image.fromarray(laid_over(np.asarray(picture), values, *scale))
        draw_boxes(sheet, boxes.get(row.image_id, []), factor)
        target = folder / heat_map_name(row.photograph, row.rank)
        target.parent.mkdir(parents=True, exist_ok=True)
        save(sheet, target)


def page_entries(
    predictions: pd.DataFrame,
    regions: pd.DataFrame,
    manifest: pd.DataFrame,
    real: RealImages,
    maps: Path,
    good: NDArray[np.uint8],
) -> Iterator[PageEntry]:
    """What the page shows of each photograph, the worst first.

    Args:
        maps: folder of ``{image_id}.tiff``.
        good: training photographs, ``[K, S, S, 3]``.
    """
    boxes, sizes = regions_by_image(regions), manifest.set_index("image_id")
    for row in _rows(predictions):
        image = real.image(row.image_id)
        height, width = (int(side) for side in sizes.loc[row.image_id, ["height", "width"]])
        told: dict[str, Any] = {"path": row.photograph, "score": row.score, "answer": row.answer or None}
        told |= {name: _known(getattr(row, name)) for name in ("calibrated", "threshold", "multiple")}
        told["boxes"] = [vars(region) for region in boxes.get(row.image_id, [])]
        remark = "in the training set; scored by a detector that saw nothing of it" if row.held_out else ""
        yield PageEntry(
            told,
            height,
            width,
            thumbnail(image, height, width),
            read_map(maps / f"{row.image_id}.tiff", MAP_SIDE),
            nearest_good(image, good),
            remark,
        )


def good_photographs(images: NDArray[np.uint8], manifest: pd.DataFrame) -> list[GoodPhotograph]:
    """What the page shows of training photographs: their names, and small pictures in their own ratios.

    Args:
        images: ``[K, S, S, 3]``; manifest: their rows.
    """
    rows = zip(images, manifest["image_path"], manifest["height"], manifest["width"], strict=True)
    return [GoodPhotograph(Path(path).name, thumbnail(image, height, width)) for image, path, height, width in rows]


def summary(predictions: pd.DataFrame) -> str:
    """How many photographs got which answer."""
    photographs = f"{len(predictions):,} photograph{'' if len(predictions) == 1 else 's'}"
    if not (predictions["answer"] != "").any():
        return f"{photographs}, ranked without a threshold"
    counts = predictions["answer"].value_counts()
    return f"{photographs}: " + ", ".join(f"{counts.get(answer, 0):,} {said}" for answer, said in _WORDS.items())


def ranking(title: str, predictions: pd.DataFrame, regions: pd.DataFrame, notes: Sequence[str]) -> str:
    """The ranked table for a terminal, worst first: the first twenty, how many follow, and sentences below."""
    boxes = regions_by_image(regions)
    rows = [("rank", "answer", "x threshold", "score", "photograph", "largest region, pixels")]
    for row in _rows(predictions.head(SHOWN)):
        largest = max(boxes.get(row.image_id, []), key=lambda region: region.area, default=None)
        where = f"{largest.width} x {largest.height} at {largest.left}, {largest.top}" if largest else ""
        multiple = "" if np.isnan(row.multiple) else f"{row.multiple:.2f}"
        rows.append((str(row.rank), row.answer, multiple, f"{row.score:.4g}", row.photograph, where))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = (0, 2, 3)  # columns that are set to the right
    lines = [f"{title}: {summary(predictions)}"]
    for cells in rows:
        padded = [
            cell.rjust(width) if at in numbers else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(f"  {'  '.join(padded)}".rstrip())
    if len(predictions) > SHOWN:
        lines.append(f"  and {summary(predictions[SHOWN:]).replace(' photograph', ' more photograph')}")
    return "\n".join([*lines, *(f"  {note}" for note in notes)]) + "\n"


def thresholds_table(answers: Answers, tested: pd.DataFrame) -> pd.DataFrame:
    """Table ``thresholds``: misses and false alarms by threshold on test images.

    Args:
        tested: rows of table ``scores`` of one run.
    """
    names = {answers.look: "look", answers.bad: "bad"}
    rows = []
    for found in answers.table(tested["score"], tested["label"]):
        row = {"threshold": found.threshold, "name": names.get(found.threshold, "fewest_mistakes")}
        for what, count, of, rate in (
            ("misses", found.misses, found.defects, found.miss_rate),
            ("false_alarms", found.false_alarms, found.good, found.false_alarm_rate),
        ):
            low, high = (rate.low, rate.high) if rate else (np.nan, np.nan)
            row |= {what: count, f"{what}_of": of, f"{what}_low": low, f"{what}_high": high}
        rows.append(row)
    columns = [f"{what}{part}" for what in ("misses", "false_alarms") for part in ("", "_of", "_low", "_high")]
    return pd.DataFrame(rows, columns=["name", "threshold", *columns])


def thresholds_told(title: str, answers: Answers, thresholds: pd.DataFrame) -> str:
    """What the thresholds promise, and what they do to test images of which it is known whether they are good."""
    lines = [f"{title}: {answers.promise()}"]
    for row in _rows(thresholds):
        said = {"look": "to look at", "bad": "bad", "fewest_mistakes": "with the labels known, fewest mistakes"}[
            row.name
        ]
        counts = [
            f"{part} of {of} {what}"
            for part, of, what in (
                (row.misses, row.misses_of, "defects missed"),
                (row.false_alarms, row.false_alarms_of, "good ones above it"),
            )
            if of
        ]
        if counts:
            lines.append(f"  {said}, above {row.threshold:.4g}: {', '.join(counts)} in the test")
    return "\n".join(lines) + "\n"


def write_prediction_link(target: str | Path, page: str, words: str) -> None:
    """Write the script that links a page of predictions on the gallery's page of its category."""
    script = (
        '"use strict";\n'
        "(() => {\n"
        '  const link = document.getElementById("predictions");\n'
        f"  link.href = `../${{encodeURIComponent({json.dumps(page)})}}`;\n"
        f"  link.textContent = {json.dumps(words)};\n"
        "  link.hidden = false;\n"
        "})();\n"
    )
    write_text(target, script)


def _rows(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, as named tuples."""
    yield from table.itertuples(index=False)


def _known(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
