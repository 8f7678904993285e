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

from variad.core.records import picture_rows
from variad.report import drawing
from variad.report.drawing import RealImages, TileGrid, open_real_images

CHOSEN = TileGrid(tile=112, gap=12, left=12, head=84, text_width=190, under=42)  # its score under each tile
STEP_BY_STEP = TileGrid(tile=112, gap=12, left=12, head=84, text_width=330)  # text to the right of the tiles
SIDE_BY_SIDE = TileGrid(tile=132, gap=10, left=250, head=44, text_width=230)  # text to their left
ROWS, STEPS, SHOTS_A_ROW = 8, 5, 8  # at most, step by step
COLUMNS = 6  # at most, side by side
NARROWEST = 760  # so that the title fits even over few columns
# the columns of added.h5 that sheets and pages read, and what stands where a file has no such column
ABSENT = {
    "run": 0,
    "seed": 0,
    "parent": "",
    "prompt": "",
    "similarity": np.nan,
    "distance": np.nan,
    "accepted": True,
    "score": np.nan,
}


@dataclass(frozen=True)
class AddedTable:
    """The rows of ``added.h5`` and its recipe.

    Columns run, parent, prompt, seed, similarity, distance, accepted, score, and ``picture``, the row of ``/images``.
    """

    rows: pd.DataFrame
    recipe: dict[str, Any]


def read_added_table(path: str | Path) -> AddedTable:
    """Read the flat arrays of ``added.h5`` without its images; a training set without added images has no rows."""
    with h5py.File(path, "r") as file:
        picture = picture_rows(file)
        columns = {name: _column(file, name, len(picture)) for name in ABSENT} | {"picture": picture}
        recipe = json.loads(file.attrs.get("recipe", "{}"))
    return AddedTable(pd.DataFrame(columns), recipe if isinstance(recipe, dict) else {})


def _column(file: h5py.File, name: str, count: int) -> Any:
    absent = ABSENT[name]
    if name not in file:
        return [absent] * count if isinstance(absent, str) else np.full(count, absent)
    return list(file[name].asstr()[:]) if isinstance(absent, str) else file[name][:].astype(type(absent))


def draw_contact_sheet(
    target: str | Path, title: str, images: Sequence[str | Path], added: str | Path, shots: pd.DataFrame
) -> None:
    """Draw up to eight rows of parent, steps and result, or the shots where nothing was added.

    Of photographs that were chosen it shows the best, those next to the limit, and the worst, under the shots.

    Args:
        target: picture to write.
        title: what the sheet is about, in one line.
        images: the ``images.h5`` that the parents are in.
        added: the training set's ``added.h5``.
        shots: rows of the table ``shots`` of this scenario.
    """
    rows = read_added_table(added).rows
    chosen, made = rows[rows["score"].notna()], rows[rows["score"].isna()]
    with open_real_images(*images) as real, h5py.File(added, "r") as file:
        sheets = [_chosen_sheet(title, real, shots, chosen)] if len(chosen) else []
        if len(made):
            sheets.append(_added_sheet("made of shots and kept photographs" if sheets else title, real, file, made))
        sheet = drawing.stacked(sheets or [_shots_sheet(title, real, shots)])
    drawing.save(sheet, target)


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


def _added_sheet(title: str, real: RealImages, file: h5py.File, rows: pd.DataFrame) -> Image.Image:
    row_of: dict[int, int] = {}  # in /steps, by added image
    iterations: list[int] = []
    if "steps" in file and len(file["steps_index"]):
        row_of = {int(index): row for row, index in enumerate(file["steps_index"][:])}
        iterations = file["steps_iteration"][:].tolist()
    shown = sorted({round(at) for at in np.linspace(0, len(iterations) - 1, min(len(iterations), STEPS))})
    accepted = rows["accepted"].to_numpy(dtype=bool)
    chosen = choose_rows(accepted, [place for place, index in enumerate(rows.index) if index in row_of])
    heads = ["parent", *(f"step {iterations[column]}" for column in shown), "result"]
    yes = int(accepted.sum())
    counts = f"{len(rows)} added images, {yes} accepted, {len(rows) - yes} rejected; {len(chosen)} shown"
    sheet = _empty_sheet(title, counts, len(chosen), len(heads))
    for column, head in enumerate(heads):
        left, top = STEP_BY_STEP.at(0, column)
        drawing.write(sheet, (left, top - 22), head, 14, drawing.FAINT)
    for line, place in enumerate(chosen):
        row, index = rows.iloc[place], int(rows.index[place])
        during = [file["steps"][row_of[index], column] if index in row_of else None for column in shown]
        _place_row(sheet, line, [real.image(row["parent"]), *during, file["images"][row["picture"]]])
        _describe_row(sheet, line, len(heads), row, index)
    return sheet


def _describe_row(sheet: Image.Image, line: int, columns: int, row: Any, index: int) -> None:
    """Frame the result in the colour of its verdict and write prompt, measures, origin and verdict beside it."""
    colour = drawing.ACCEPTED if row["accepted"] else drawing.REJECTED
    drawing.frame(sheet, STEP_BY_STEP.at(line, columns - 1), STEP_BY_STEP.tile, colour)
    left, top = _beside(line, columns)
    width = STEP_BY_STEP.text_width - 2 * STEP_BY_STEP.gap
    prompt = f"“{row['prompt']}”" if row["prompt"] else "not guided by a prompt"
    for number, text in enumerate(drawing.wrap(prompt, width, 15, 2)):
        drawing.write(sheet, (left, top + 20 * number), text, 15)
    similarity, distance = ("–" if np.isnan(row[name]) else f"{row[name]:.3f}" for name in ("similarity", "distance"))
    drawing.write(sheet, (left, top + 42), f"similarity {similarity}   distance {distance}", 14, drawing.FAINT)
    origin = drawing.shorten(f"run {row['run']}, image {index}, of {row['parent']}", width, 14)
    drawing.write(sheet, (left, top + 63), origin, 14, drawing.FAINT)
    drawing.write(sheet, (left, top + 87), "✓ accepted" if row["accepted"] else "✗ rejected", 16, colour, bold=True)


def _chosen_sheet(title: str, real: RealImages, shots: pd.DataFrame, rows: pd.DataFrame) -> Image.Image:
    """The shots of the first run, and its candidates from the best to the worst, with the two sides of the limit."""
    run = int(rows["run"].min())
    names = list(shots.loc[shots["run"] == run, "image_id"])
    mine = rows[rows["run"] == run].sort_values("score", kind="stable")
    bands = bands_of(mine)
    kept = [int(group.sum()) for _, group in rows.groupby("run")["accepted"]]
    all_runs = f"; {min(kept)} to {max(kept)} in the {len(kept)} runs" if min(kept) < max(kept) else ""
    counts = f"run {run}: {kept[0]} of {len(mine)} unlabelled photographs taken as good{all_runs}"
    sheet = _empty_sheet(title, counts, 1 + len(bands), SHOTS_A_ROW, CHOSEN)
    _place_row(sheet, 0, [real.image(name) for name in names[:SHOTS_A_ROW]], CHOSEN)
    more = f", the first {SHOTS_A_ROW} shown" if len(names) > SHOTS_A_ROW else ""
    _head_row(sheet, 0, f"{len(names)} shot{'s' * (len(names) != 1)}{more}", "known to be good", drawing.FAINT)
    for line, (head, band) in enumerate(bands.items(), start=1):
        _place_row(sheet, line, [real.image(name) for name in band["parent"]], CHOSEN)
        for column, row in enumerate(band.to_dict("records")):
            left, top = CHOSEN.at(line, column)
            drawing.frame(sheet, (left, top), CHOSEN.tile, drawing.ACCEPTED if row["accepted"] else drawing.REJECTED)
            name = drawing.shorten(Path(row["parent"]).name, CHOSEN.tile, 12, end=True)
            drawing.write(sheet, (left, top + CHOSEN.tile + 7), f"{row['score']:.3g}", 14, bold=True)
            drawing.write(sheet, (left, top + CHOSEN.tile + 25), name, 12, drawing.FAINT)
        good = bool(band["accepted"].iloc[0])
        verdict = "✓ taken as good" if good else "✗ left out"
        _head_row(sheet, line, head, verdict, drawing.ACCEPTED if good else drawing.REJECTED)
    return sheet


def bands_of(rows: pd.DataFrame, count: int = SHOTS_A_ROW) -> dict[str, pd.DataFrame]:
    """The candidates of a run to show, none of them twice, at most ``count`` a band; bands without any are left out.

    Args:
        rows: columns ``score`` and ``accepted``, lowest score first.
    """
    kept, rest = rows[rows["accepted"]], rows[~rows["accepted"]]
    bands = {
        "most normal": kept[:count],
        "last to be kept": kept[count:][-count:],
        "first to be left out": rest[:count],
        "least normal": rest[count:][-count:],
    }
    return {head: band for head, band in bands.items() if len(band)}


def _head_row(sheet: Image.Image, line: int, head: str, text: str, colour: drawing.Colour) -> None:
    left, top = CHOSEN.at(line, SHOTS_A_ROW)
    drawing.write(sheet, (left, top + 30), head, 16, bold=True)
    drawing.write(sheet, (left, top + 54), text, 14, colour)


def _shots_sheet(title: str, real: RealImages, shots: pd.DataFrame) -> Image.Image:
    runs = list(shots.groupby("run", sort=True)["image_id"])[:ROWS]
    columns = min(SHOTS_A_ROW, max((len(names) for _, names in runs), default=1))
    sheet = _empty_sheet(title, "the shots alone, nothing was added", max(1, len(runs)), columns)
    for line, (run, names) in enumerate(runs):
        _place_row(sheet, line, [real.image(name) for name in names[:columns]])
        left, top = _beside(line, columns)
        drawing.write(sheet, (left, top), f"run {run}", 16, bold=True)
        more = f", the first {columns} shown" if len(names) > columns else ""
        drawing.write(sheet, (left, top + 24), f"{len(names)} shot{'s' * (len(names) != 1)}{more}", 14, drawing.FAINT)
    return sheet


def _empty_sheet(title: str, counts: str, rows: int, columns: int, grid: TileGrid = STEP_BY_STEP) -> Image.Image:
    gap = grid.gap
    right, bottom = grid.at(rows, columns)
    size = (max(right + grid.text_width + gap, NARROWEST), bottom + gap)
    sheet = Image.new("RGB", size, drawing.PAPER)
    drawing.write(sheet, (gap, 8), drawing.shorten(title, sheet.width - 2 * gap, 19), 18)
    drawing.write(sheet, (gap, 34), counts, 15, drawing.FAINT)
    return sheet


def _place_row(
    sheet: Image.Image, line: int, tiles: Sequence[npt.NDArray[np.uint8] | None], grid: TileGrid = STEP_BY_STEP
) -> None:
    for column, pixels in enumerate(tiles):
        picture = drawing.blank_tile("not kept", grid.tile) if pixels is None else drawing.tile(pixels, grid.tile)
        sheet.paste(picture, grid.at(line, column))


def _beside(line: int, columns: int) -> drawing.Point:
    """Where the text of a row begins, to the right of its tiles."""
    left, top = STEP_BY_STEP.at(line, columns)
    return left + STEP_BY_STEP.gap // 2, top


def draw_side_by_side(
    target: str | Path,
    title: str,
    images: Sequence[str | Path],
    names: Sequence[str],
    added: Sequence[str | Path],
    run: int = 0,
) -> None:
    """Draw a row a training set: its name, a parent, and images made of it; sets without images are left out.

    Args:
        target: picture to write.
        images: the ``images.h5`` that the parents are in.
        names, added: training sets and their ``added.h5``.
        run: whose images are shown, those of its first shot; of chosen photographs the best.
    """
    grid = SIDE_BY_SIDE
    with open_real_images(*images) as real:
        known = [(name, *_row_of(real, path, run)) for name, path in zip(names, added, strict=True)]
    rows = [(name, tiles, parent) for name, tiles, parent in known if tiles]
    right, bottom = grid.at(max(1, len(rows)), COLUMNS)
    sheet = Image.new("RGB", (right + grid.gap, bottom + grid.gap), drawing.PAPER)
    drawing.write(sheet, (grid.gap, 10), drawing.shorten(title, right - grid.gap, 18), 18, bold=True)
    for line, (name, tiles, parent) in enumerate(rows):
        middle = grid.at(line, 0)[1] + grid.tile // 2
        drawing.write(sheet, (grid.gap, middle - 10), drawing.shorten(name, grid.text_width, 16), 16)
        for column, pixels in enumerate(tiles):
            sheet.paste(drawing.tile(pixels, grid.tile), grid.at(line, column))
        if parent:
            drawing.frame(sheet, grid.at(line, 0), grid.tile, drawing.FAINT)
    drawing.save(sheet, target)


def _row_of(real: RealImages, path: str | Path, run: int) -> tuple[list[npt.NDArray[np.uint8]], bool]:
    """At most ``COLUMNS`` images, none if a run has none, and whether the first is the parent of the others.

    Photographs that were chosen are shown, the most normal first, where nothing was made.
    """
    table = read_added_table(path).rows
    mine = table[table["run"] == run]
    rows = mine[mine["score"].isna()]
    if rows.empty:
        best = mine[mine["accepted"]].sort_values("score", kind="stable")["parent"][:COLUMNS]
        return [real.image(name) for name in best], False
    parent = rows["parent"].iloc[0]
    chosen = rows.index[rows["parent"] == parent][: COLUMNS - 1]
    with h5py.File(path) as file:
        return [real.image(parent), *(file["images"][rows.at[index, "picture"]] for index in chosen)], True
