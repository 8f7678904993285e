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
    named = [(entry, "parent") for entry in sets] + [(entry, "image") for entry in cells]
    names = sorted(set(shots["image_id"]).union(*(entry[key] for entry, key in named)))
    manifest = read_table(sources.manifest, "manifest").drop_duplicates("image_id").set_index("image_id")
    number = {name: index for index, name in enumerate(names)}
    for entry, key in named:
        entry[key] = [number[name] for name in entry[key]]
    runs: Any = shots.groupby(["scenario", "run"], sort=False)["image_id"]
    return {
        "dataset": sources.dataset,
        "category": sources.category,
        "images": _collect_images(names, manifest, real, sources.manifest),
        "prompts": [{"scenario": path.parts[-3], **json.loads(path.read_text("utf-8"))} for path in sources.prompts],
        "shots": [
            {"scenario": scenario, "run": int(run), "image": [number[name] for name in members]}
            for (scenario, run), members in runs
        ],
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
    scenario, training_set, detector = path.parts[-4:-1]
    cell = {"scenario": scenario, "training_set": training_set, "detector": detector}
    labels: list[int | None]
    run, threshold, has_maps = 0, None, False
    if path.stem == "predictions":
        rows = read_table(path, "predictions")
        threshold = float(rows["threshold"].iloc[0]) if len(rows) else None
        labels = [None] * len(rows)
    else:
        kept = first_kept_run(path.parent / "maps")
        run, has_maps = kept or 0, kept is not None
        table = read_table(path, "scores")
        rows = table[table["run"] == run]
        labels = [int(label) for label in rows["label"]]
    scored = {"image": list(rows["image_id"]), "label": labels, "score": _rounded(rows["score"])}
    return {**cell, "run": run, "threshold": threshold, "maps": has_maps, **scored}


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


def _rounded(values: "pd.Series[float]") -> list[float]:
    return [float(f"{value:.6g}") for value in values]
