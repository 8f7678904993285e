"""Contact sheets: what a training set made of its shots, step by step, and what all of them make of the same shots."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from variad.core.files import writing
from variad.report import drawing
from variad.report.drawing import RealImages, open_real_images

ROWS = 12
STEPS = 5
SHOTS_A_ROW = 8
TILE = 112
GAP = 12
HEAD = 84
TEXT_WIDTH = 330
COLUMNS = 6
SET_TILE = 132
SET_GAP = 10
SET_HEAD = 44
SET_TEXT_WIDTH = 250


@dataclass(frozen=True)
class AddedTable:
    """The rows of ``added.h5`` (columns run, parent, prompt, seed, similarity, distance, accepted) and its recipe."""

    rows: pd.DataFrame
    recipe: dict[str, Any]


def read_added_table(path: str | Path) -> AddedTable:
    """Read the flat arrays of ``added.h5`` without its images; a training set without added images has no rows."""
    with h5py.File(path, "r") as file:
        count = len(file["images"]) if "images" in file else 0
        columns: dict[str, Any] = {name: _column(file, name, count) for name in ("run", "seed")}
        columns |= {name: _text(file, name, count) for name in ("parent", "prompt")}
        columns |= {name: _column(file, name, count, np.nan).astype(float) for name in ("similarity", "distance")}
        columns["accepted"] = _column(file, "accepted", count, True).astype(bool)
        recipe = json.loads(file.attrs.get("recipe", "{}"))
    return AddedTable(pd.DataFrame(columns), recipe if isinstance(recipe, dict) else {})


def _column(file: h5py.File, name: str, count: int, default: Any = 0) -> Any:
    return file[name][:] if name in file else np.full(count, default)


def _text(file: h5py.File, name: str, count: int) -> list[str]:
    return list(file[name].asstr()[:]) if name in file else [""] * count


@dataclass(frozen=True)
class ShownSteps:
    """Pictures during optimisation: ``rows[i]`` is the row of ``/steps`` that belongs to added image ``i``."""

    rows: dict[int, int]
    iterations: list[int]


def draw_contact_sheet(
    target: str | Path, title: str, images: str | Path, added: str | Path, shots: pd.DataFrame
) -> None:
    """Draw up to twelve rows of parent, steps and result, or the shots where nothing was added.

    Args:
        target: PNG to write.
        title: what the sheet is about, in one line.
        images: the category's ``images.h5``.
        added: the training set's ``added.h5``.
        shots: rows of the table ``shots`` of this scenario.
    """
    table = read_added_table(added)
    with open_real_images(images) as real, h5py.File(added, "r") as file:
        rows = table.rows
        sheet = _shots_sheet(title, real, shots) if rows.empty else _added_sheet(title, real, file, rows)
    with writing(target) as temporary:
        sheet.save(temporary)


def choose_rows(accepted: npt.NDArray[np.bool_], with_steps: list[int], count: int = ROWS) -> list[int]:
    """Which added images to show: evenly spaced, those with kept steps first, and a rejected one if there is any.

    Returns:
        Ascending indices, at most ``count``; the same for the same input.
    """
    pool = sorted(with_steps) or list(range(len(accepted)))
    chosen = [pool[round(at)] for at in np.linspace(0, len(pool) - 1, min(count, len(pool)))]
    rejected = np.flatnonzero(~accepted)
    if len(rejected) and accepted[chosen].all():
        chosen[-1] = int(rejected[0])
    return sorted(set(chosen))


def _read_steps(file: h5py.File) -> ShownSteps:
    if "steps" not in file or not len(file["steps_index"]):
        return ShownSteps({}, [])
    rows = {int(index): row for row, index in enumerate(file["steps_index"][:])}
    return ShownSteps(rows, [int(iteration) for iteration in file["steps_iteration"][:]])


def _added_sheet(title: str, real: RealImages, file: h5py.File, rows: pd.DataFrame) -> Image.Image:
    steps = _read_steps(file)
    shown = _shown_steps(len(steps.iterations))
    accepted = rows["accepted"].to_numpy(dtype=bool)
    chosen = choose_rows(accepted, list(steps.rows))
    heads = ["parent", *(f"step {steps.iterations[column]}" for column in shown), "result"]
    sheet = _empty_sheet(len(heads), len(chosen), TEXT_WIDTH)
    _write_head(sheet, title, _counts(rows, len(chosen)))
    for column, head in enumerate(heads):
        drawing.write(sheet, (_left(column), HEAD - 22), head, 14, drawing.FAINT)
    for line, index in enumerate(chosen):
        kept = steps.rows.get(index)
        during = [None if kept is None else file["steps"][kept, column] for column in shown]
        tiles = [real.image(rows["parent"].iloc[index]), *during, file["images"][index]]
        _place_row(sheet, line, tiles)
        _write_row(sheet, line, len(tiles), rows.iloc[index], index)
    return sheet


def _shown_steps(count: int) -> list[int]:
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, STEPS))}) if count else []


def _place_row(sheet: Image.Image, line: int, tiles: list[npt.NDArray[np.uint8] | None]) -> None:
    for column, pixels in enumerate(tiles):
        picture = drawing.blank_tile("not kept", TILE) if pixels is None else drawing.tile(pixels, TILE)
        sheet.paste(picture, (_left(column), _top(line)))


def _write_row(sheet: Image.Image, line: int, columns: int, row: Any, index: int) -> None:
    colour = drawing.ACCEPTED if row["accepted"] else drawing.REJECTED
    verdict = "✓ accepted" if row["accepted"] else "✗ rejected"
    drawing.frame(sheet, (_left(columns - 1), _top(line)), TILE, colour)
    left, top = _left(columns) + GAP // 2, _top(line)
    prompt = f"“{row['prompt']}”" if row["prompt"] else "not guided by a prompt"
    lines = drawing.wrap(prompt, TEXT_WIDTH - 2 * GAP, 15, 2)
    for number, text in enumerate(lines):
        drawing.write(sheet, (left, top + 20 * number), text, 15)
    measures = f"similarity {_number(row['similarity'])}   distance {_number(row['distance'])}"
    drawing.write(sheet, (left, top + 42), measures, 14, drawing.FAINT)
    origin = drawing.shorten(f"run {row['run']}, image {index}, of {row['parent']}", TEXT_WIDTH - 2 * GAP, 14)
    drawing.write(sheet, (left, top + 63), origin, 14, drawing.FAINT)
    drawing.write(sheet, (left, top + 87), verdict, 16, colour, bold=True)


def _number(value: object) -> str:
    number = float(str(value))
    return "–" if np.isnan(number) else f"{number:.3f}"


def _counts(rows: pd.DataFrame, shown: int) -> str:
    accepted = int(rows["accepted"].sum())
    return f"{len(rows)} added images, {accepted} accepted, {len(rows) - accepted} rejected; {shown} shown"


def _shots_sheet(title: str, real: RealImages, shots: pd.DataFrame) -> Image.Image:
    runs = list(shots.groupby("run", sort=True)["image_id"])[:ROWS]
    columns = min(SHOTS_A_ROW, max((len(names) for _, names in runs), default=1))
    sheet = _empty_sheet(columns, max(1, len(runs)), TEXT_WIDTH)
    _write_head(sheet, title, "the shots alone, nothing was added")
    for line, (run, names) in enumerate(runs):
        _place_row(sheet, line, [real.image(name) for name in names[:columns]])
        left, top = _left(columns) + GAP // 2, _top(line)
        drawing.write(sheet, (left, top), f"run {run}", 16, bold=True)
        more = f", the first {columns} shown" if len(names) > columns else ""
        drawing.write(sheet, (left, top + 24), f"{len(names)} shot{'s' * (len(names) != 1)}{more}", 14, drawing.FAINT)
    return sheet


def _empty_sheet(columns: int, rows: int, text_width: int) -> Image.Image:
    # Wide enough for the title line even where there are few columns.
    width = max(_left(columns) + text_width + GAP, 760)
    return Image.new("RGB", (width, _top(rows) + GAP), drawing.PAPER)


def _write_head(sheet: Image.Image, title: str, counts: str) -> None:
    drawing.write(sheet, (GAP, 8), drawing.shorten(title, sheet.width - 2 * GAP, 19), 18)
    drawing.write(sheet, (GAP, 34), counts, 15, drawing.FAINT)


def _left(column: int) -> int:
    return GAP + column * (TILE + GAP)


def _top(row: int) -> int:
    return HEAD + row * (TILE + GAP)


def draw_side_by_side(
    target: str | Path, title: str, images: str | Path, names: Sequence[str], added: Sequence[str | Path], run: int = 0
) -> None:
    """Draw a row a training set: its name, a parent, and images made of it; sets without images are left out.

    Args:
        target: PNG to write.
        images: the category's ``images.h5``.
        names, added: training sets and their ``added.h5``.
        run: whose images are shown, those of its first shot.
    """
    with open_real_images(images) as real:
        rows = [(name, tiles) for name, path in zip(names, added, strict=True) if (tiles := _tiles(real, path, run))]
        sheet = _sheet(title, rows)
    with writing(target) as temporary:
        sheet.save(temporary)


def _tiles(real: RealImages, path: str | Path, run: int) -> list[np.ndarray]:
    """The first parent of a run and what was made of it, at most ``COLUMNS`` images; nothing if nothing was added."""
    rows = read_added_table(path).rows
    rows = rows[rows["run"] == run]
    if rows.empty:
        return []
    parent = rows["parent"].iloc[0]
    chosen = [int(index) for index in rows.index[rows["parent"] == parent][: COLUMNS - 1]]
    with h5py.File(path) as file:
        return [real.image(parent), *(file["images"][index] for index in chosen)]


def _sheet(title: str, rows: Sequence[tuple[str, list[np.ndarray]]]) -> Image.Image:
    width = SET_TEXT_WIDTH + COLUMNS * (SET_TILE + SET_GAP) + SET_GAP
    sheet = Image.new("RGB", (width, SET_HEAD + max(1, len(rows)) * (SET_TILE + SET_GAP) + SET_GAP), drawing.PAPER)
    drawing.write(sheet, (SET_GAP, 10), drawing.shorten(title, width - 2 * SET_GAP, 18), 18, bold=True)
    for line, (name, tiles) in enumerate(rows):
        top = SET_HEAD + line * (SET_TILE + SET_GAP)
        drawing.write(
            sheet, (SET_GAP, top + SET_TILE // 2 - 10), drawing.shorten(name, SET_TEXT_WIDTH - 2 * SET_GAP, 16), 16
        )
        for column, pixels in enumerate(tiles):
            sheet.paste(drawing.tile(pixels, SET_TILE), (SET_TEXT_WIDTH + column * (SET_TILE + SET_GAP), top))
        drawing.frame(sheet, (SET_TEXT_WIDTH, top), SET_TILE, drawing.FAINT)
    return sheet
