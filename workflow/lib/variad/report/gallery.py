"""A category's page of the gallery: a folder that opens from disk, without a server or a network.

It knows prompts, shots, added images and scores, as plain lists.

Names of pictures are numbers, never a user's text; where a user's names stand in a page, they are escaped.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from variad.core.errors import UserError
from variad.core.files import scratch_folder
from variad.core.tables import read_table
from variad.datasets.inventory import sentences_of
from variad.evaluation.ranking import fewest_mistakes, image_metrics
from variad.generation.settings import Turning
from variad.report.contact_sheet import read_added_table
from variad.report.drawing import RealImages, colour_scale, colourise, open_real_images
from variad.report.heatmaps import first_kept_run, map_path, read_map
from variad.report.markup import ASSETS, fill, no_page_yet, script_json, text

PICTURE_SIZE = 224
MAP_SIZE = 112
QUALITY = 80
PAGE_FILES = (
    "gallery.css",
    "dom.js",
    "words.js",
    "address.js",
    "elements.js",
    "cards.js",
    "line.js",
    "viewer.js",
    "collection.js",
    "page.js",
)


def save_picture(image: npt.NDArray[np.uint8], path: Path) -> None:
    """Save an RGB image ``[h, w, 3]`` as JPEG, at most 224 pixels wide; grey ones with one channel, half the work."""
    grey = (image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all()
    picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if grey else image))
    if max(picture.size) > PICTURE_SIZE:
        picture = picture.resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.BOX, reducing_gap=2.0)
    _save_jpeg(picture, path)


def save_mask(mask: npt.NDArray[np.uint8], path: Path) -> None:
    """Save a mask ``[h, w]`` as a black and white PNG of 224 pixels; a defect of a few pixels stays visible."""
    small = Image.fromarray(mask).convert("L").resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.BOX)
    small.point(lambda value: 255 if value > 0 else 0).convert("1").save(path, "PNG")


def save_map(values: npt.NDArray[np.float32], low: float, high: float, path: Path) -> None:
    """Save an anomaly map ``[h, w]`` in the colours of its scale as JPEG."""
    _save_jpeg(Image.fromarray(colourise(values, low, high)), path)


def _save_jpeg(picture: Image.Image, path: Path) -> None:
    # not into the file: Pillow hands it to code in C, which takes a block that a full disk cut short for written
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    path.write_bytes(stream.getbuffer())


@dataclass(frozen=True)
class PageSources:
    """The files of one category, laid out as in the data contracts; lists may be empty.

    Attributes:
        prompts: ``{scenario}/prompts/{encoder}.{word_source}.json``.
        added: ``{scenario}/{training_set}/added.h5``.
        scores: ``{scenario}/{training_set}/{detector}/scores.csv``, or ``predictions.csv`` of unlabelled images.
        images, manifests: of the splits that these name images of.
        inventory: of the category, or nothing.
        turning: whether the product turns, where a recipe asks for it.
    """

    dataset: str
    category: str
    images: list[Path]
    manifests: list[Path]
    shots: Path
    prompts: list[Path]
    added: list[Path]
    scores: list[Path]
    inventory: Path | None = None
    turning: Sequence[Path] = ()


def build_page(folder: str | Path, sources: PageSources) -> None:
    """Write ``index.html``, its style, script and data, all pictures, and ``card.json`` for the overview.

    The folder is complete when it exists: it is made beside its place and renamed. Beside it lies, if there is none, an
    empty script in place of the one that will link predictions, as the page asks for it.

    Raises:
        UserError: an anomaly map or an image that a table names is missing.
    """
    with open_real_images(*sources.images) as real, _writing_folder(Path(folder)) as temporary:
        page = collect_page(sources, real)
        _save_images(temporary, page["images"], real)
        for number, path in enumerate(sources.added):
            pictures = temporary / "added" / str(number)
            pictures.mkdir(parents=True)
            with h5py.File(path, "r") as file:
                for index in made_pictures(page["sets"][number]):
                    save_picture(file["images"][index], pictures / f"{index}.jpg")
        for number, (cell, path) in enumerate(zip(page["cells"], sources.scores, strict=True)):
            if cell["maps"]:
                maps = temporary / "maps" / str(number)
                cell["low"], cell["high"] = _save_maps(maps, cell, path.parent / "maps", page)
        _write_page(temporary, page)
    no_page_yet(Path(folder).with_name(f"{sources.category}.predictions.js"))


def _save_images(folder: Path, images: dict[str, list[Any]], real: RealImages) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for index, image_id in enumerate(images["id"]):
        save_picture(real.image(image_id), folder / "images" / f"{index}.jpg")
        mask = real.mask(image_id)
        if mask is not None:
            save_mask(mask, folder / "masks" / f"{index}.png")


def _save_maps(folder: Path, cell: dict[str, Any], maps: Path, page: dict[str, Any]) -> tuple[float, float]:
    """Save the maps of a cell on one colour scale; returns the scale."""
    folder.mkdir(parents=True)
    names = [page["images"]["id"][image] for image in cell["image"]]
    paths = [map_path(maps, cell["run"], page["category"], name) for name in names]
    small = [read_map(path, MAP_SIZE) for path in paths]
    low, high = colour_scale(small)
    for index, values in enumerate(small):
        save_map(values, low, high, folder / f"{index}.jpg")
    return low, high


def _write_page(folder: Path, page: dict[str, Any]) -> None:
    for name in PAGE_FILES:
        shutil.copyfile(ASSETS / name, folder / name)
    (folder / "data.js").write_text(f"window.VARIAD = {script_json(page)};\n", "utf-8")
    fill(folder / "index.html", "page.html", dataset=text(page["dataset"]), category=text(page["category"]))
    (folder / "card.json").write_text(script_json(_card(page)) + "\n", "utf-8")


def _card(page: dict[str, Any]) -> dict[str, Any]:
    """What the overview says about a category."""
    shots = page["shots"]
    made = [accepted for entry in page["sets"] for accepted, chosen in _rows(entry, "accepted") if not chosen]
    photographs = {parent for entry in page["sets"] for parent, chosen in _rows(entry, "parent") if chosen}
    return {
        "shot": shots[0]["image"][0] if shots and shots[0]["image"] else None,
        "added": len(made),
        "accepted": sum(made),
        "unlabelled": len(photographs),
        "tested": len({image for cell in page["cells"] for image in cell["image"]}),
        "cells": len(page["cells"]),
    }


def _rows(entry: dict[str, Any], column: str) -> Iterator[tuple[Any, bool]]:
    """A column of a set, and whether each row is a photograph that could be chosen, not an image that was made."""
    scores = entry.get("score", [np.nan] * len(entry["run"]))
    yield from zip(entry[column], ~np.isnan(scores), strict=True)


@contextmanager
def _writing_folder(target: Path) -> Iterator[Path]:
    with scratch_folder(target) as scratch:
        page = scratch / "page"
        page.mkdir()
        yield page
        if target.exists():
            shutil.rmtree(target)
        page.rename(target)


def collect_page(sources: PageSources, real: RealImages) -> dict[str, Any]:
    """Everything that the page shows, ready for JSON.

    Images are numbered; ``images`` is the key. Picture ``i`` of ``images`` lies at ``images/{i}.jpg``, and map ``i`` of
    cell ``k`` at ``maps/{k}/{i}.jpg``. Added image ``i`` of set ``k`` lies at ``added/{k}/{i}.jpg``, or at
    ``added/{k}/{picture[i]}.jpg`` where its set has ``picture``; one with a ``score`` is its parent, and lies nowhere.
    """
    shots = read_table(sources.shots, "shots")
    sets = [collect_set(path) for path in sources.added]
    cells = [collect_cell(path) for path in sources.scores]
    named = [(entry, "parent") for entry in sets] + [(entry, "image") for entry in cells]
    names = sorted(set(shots["image_id"]).union(*(entry[key] for entry, key in named)))
    manifest = pd.concat([read_table(path, "manifest") for path in sources.manifests]).set_index("image_id")
    number = {name: index for index, name in enumerate(names)}
    for entry, key in named:
        entry[key] = [number[name] for name in entry[key]]
    runs: Any = shots.groupby(["scenario", "run"], sort=False)["image_id"]
    return {
        "dataset": sources.dataset,
        "category": sources.category,
        "images": _collect_images(names, manifest, real, sources.manifests[0]),
        "prompts": [{"scenario": path.parts[-3], **json.loads(path.read_text("utf-8"))} for path in sources.prompts],
        "shots": [
            {"scenario": scenario, "run": int(run), "image": [number[name] for name in members]}
            for (scenario, run), members in runs
        ],
        "sets": sets,
        "cells": cells,
        "inventory": [
            *(sentences_of(sources.inventory, sources.images) if sources.inventory else []),
            *(Turning.read(path).sentence.rstrip(".") for path in sources.turning),
        ],
    }


def collect_set(path: Path) -> dict[str, Any]:
    """The added images of one training set, parents still by image_id."""
    table = read_added_table(path)
    # 64-bit seeds do not fit a browser's numbers
    rows = table.rows.astype({"seed": str}).to_dict("list")
    rows |= {name: _rounded(rows[name]) for name in ("similarity", "distance")}
    names = ["run", "parent", "prompt", "seed", "similarity", "distance", "accepted"]
    if table.rows["score"].notna().any():  # photographs that were chosen
        rows["score"] = _rounded(rows["score"])
        names.append("score")
    if (table.rows["picture"] != table.rows.index).any():  # several show one picture
        names.append("picture")
    about = {"scenario": path.parts[-3], "training_set": path.parts[-2], "recipe": table.recipe}
    return {**about, **{name: rows[name] for name in names}}


def made_pictures(entry: dict[str, Any]) -> list[int]:
    """Those pictures of a set that were made: all of them but photographs, which are their own parents."""
    pictures = entry.get("picture", range(len(entry["run"])))
    chosen = (one for _, one in _rows(entry, "run"))
    return sorted({int(picture) for picture, one in zip(pictures, chosen, strict=True) if not one})


def collect_cell(path: Path) -> dict[str, Any]:
    """The scores of one cell's first run with maps (run 0 without), images still by image_id.

    Predictions have a threshold of their own. Test images get the one that makes the fewest mistakes among them, of the
    scores as they stand here, and their run's ``auroc``; both are None where only one label is there.
    """
    scenario, training_set, detector = path.parts[-4:-1]
    rows, kept, threshold, auroc, runs = read_table(path, path.stem), None, None, None, 1  # its schema's name
    labels: list[int | None] = [None] * len(rows)
    if path.stem == "predictions":
        threshold = float(rows["threshold"].iloc[0]) if len(rows) else None
        scores = _rounded(rows["score"])
    else:
        kept, runs = first_kept_run(path.parent / "maps"), rows["run"].nunique()
        rows = rows[rows["run"] == (kept or 0)]
        labels, scores = [int(label) for label in rows["label"]], _rounded(rows["score"])
        if rows["label"].nunique() == 2:
            threshold = fewest_mistakes(scores, rows["label"])
            auroc = image_metrics(rows["score"], rows["label"])["image_auroc"]
    cell = {"scenario": scenario, "training_set": training_set, "detector": detector, "run": kept or 0, "runs": runs}
    known = {"threshold": threshold, "auroc": auroc, "maps": kept is not None}
    return {**cell, **known, "image": list(rows["image_id"]), "label": labels, "score": scores}


def _collect_images(names: list[str], manifest: pd.DataFrame, real: RealImages, where: Path) -> dict[str, list[Any]]:
    unknown = [name for name in names if name not in manifest.index]
    if unknown:
        raise UserError(f"{where}: expected a row for image {unknown[0]!r}, found none.")
    columns = manifest.loc[names, ["split", "label", "defect", "width", "height"]].astype(object)
    known: dict[Any, list[Any]] = columns.where(columns.notna(), None).to_dict("list")
    return {"id": names, **known, "mask": [real.has_mask(name) for name in names]}


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
