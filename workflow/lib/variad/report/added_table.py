"""What is known of every added image of a training set, apart from its pixels."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd


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
