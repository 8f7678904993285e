"""What a category's page knows: prompts, shots, added images and scores, as plain lists."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from variad.core.errors import UserError
from variad.core.tables import read_table
from variad.report.contact_sheet import read_added_table
from variad.report.drawing import RealImages
from variad.report.heatmaps import first_kept_run


@dataclass(frozen=True)
class PageSources:
    """The files of one category, laid out as in the data contracts; lists may be empty.

    Attributes:
        prompts: ``{scenario}/prompts/{encoder}.{word_source}.json``.
        added: ``{scenario}/{training_set}/added.h5``.
        scores: ``{scenario}/{training_set}/{detector}/scores.csv``, or ``predictions.csv`` of unlabelled images.
    """

    dataset: str
    category: str
    images: Path
    manifest: Path
    shots: Path
    prompts: list[Path]
    added: list[Path]
    scores: list[Path]


def collect_page(sources: PageSources, real: RealImages) -> dict[str, Any]:
    """Everything that the page shows, ready for JSON.

    Images are numbered; ``images`` is the key. Picture ``i`` of ``images`` lies at ``images/{i}.jpg``, added image
    ``i`` of set ``k`` at ``added/{k}/{i}.jpg``, and map ``i`` of cell ``k`` at ``maps/{k}/{i}.jpg``.
    """
    shots = read_table(sources.shots, "shots")
    sets = [collect_set(path) for path in sources.added]
    cells = [collect_cell(path) for path in sources.scores]
    names = _used_images(shots, sets, cells)
    manifest = read_table(sources.manifest, "manifest").drop_duplicates("image_id").set_index("image_id")
    number = {name: index for index, name in enumerate(names)}
    for entry in (*sets, *cells):
        key = "parent" if "parent" in entry else "image"
        entry[key] = [number[name] for name in entry[key]]
    return {
        "dataset": sources.dataset,
        "category": sources.category,
        "images": _collect_images(names, manifest, real, sources.manifest),
        "prompts": [_collect_prompts(path) for path in sources.prompts],
        "shots": _collect_shots(shots, number),
        "sets": sets,
        "cells": cells,
    }


def collect_set(path: Path) -> dict[str, Any]:
    """The added images of one training set, parents still by image_id."""
    table = read_added_table(path)
    rows = table.rows
    return {
        "scenario": path.parts[-3],
        "training_set": path.parts[-2],
        "recipe": table.recipe,
        "run": [int(run) for run in rows["run"]],
        "parent": list(rows["parent"]),
        "prompt": list(rows["prompt"]),
        # 64-bit seeds do not fit a browser's numbers.
        "seed": [str(seed) for seed in rows["seed"]],
        "similarity": _rounded(rows["similarity"]),
        "distance": _rounded(rows["distance"]),
        "accepted": [bool(accepted) for accepted in rows["accepted"]],
    }


def collect_cell(path: Path) -> dict[str, Any]:
    """The scores of one cell's first run with maps (run 0 without), images still by image_id."""
    if path.stem == "predictions":
        return _collect_predictions(path)
    kept = first_kept_run(path.parent / "maps")
    run = kept or 0
    table = read_table(path, "scores")
    rows = table[table["run"] == run]
    scored = {"image": list(rows["image_id"]), "label": [int(label) for label in rows["label"]]}
    return {**_cell_names(path), "run": run, "threshold": None, "maps": kept is not None} | scored | _scores(rows)


def _collect_predictions(path: Path) -> dict[str, Any]:
    table = read_table(path, "predictions")
    threshold = float(table["threshold"].iloc[0]) if len(table) else None
    ranked = {"image": list(table["image_id"]), "label": [None] * len(table)}
    return {**_cell_names(path), "run": 0, "threshold": threshold, "maps": False} | ranked | _scores(table)


def _cell_names(path: Path) -> dict[str, str]:
    scenario, training_set, detector = path.parts[-4:-1]
    return {"scenario": scenario, "training_set": training_set, "detector": detector}


def _scores(rows: pd.DataFrame) -> dict[str, list[float]]:
    return {"score": _rounded(rows["score"])}


def _used_images(shots: pd.DataFrame, sets: list[dict[str, Any]], cells: list[dict[str, Any]]) -> list[str]:
    names = list(shots["image_id"])
    for entry in (*sets, *cells):
        names += entry["parent"] if "parent" in entry else entry["image"]
    return sorted(set(names))


def _collect_images(names: list[str], manifest: pd.DataFrame, real: RealImages, where: Path) -> dict[str, list[Any]]:
    unknown = [name for name in names if name not in manifest.index]
    if unknown:
        raise UserError(f"{where}: expected a row for image {unknown[0]!r}, found none.")
    rows = manifest.loc[names]
    return {
        "id": names,
        "split": list(rows["split"]),
        "label": [None if pd.isna(label) else int(label) for label in rows["label"]],
        "defect": list(rows["defect"]),
        "width": [int(width) for width in rows["width"]],
        "height": [int(height) for height in rows["height"]],
        "mask": [real.has_mask(name) for name in names],
    }


def _collect_prompts(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return {"scenario": path.parts[-3], **content}


def _collect_shots(shots: pd.DataFrame, number: dict[str, int]) -> list[dict[str, Any]]:
    groups: Any = shots.groupby(["scenario", "run"], sort=False)["image_id"]
    return [
        {"scenario": scenario, "run": int(run), "image": [number[name] for name in names]}
        for (scenario, run), names in groups
    ]


def _rounded(values: "pd.Series[float]") -> list[float]:
    return [float(f"{value:.6g}") for value in values]
