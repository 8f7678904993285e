"""Metrics of cells, written down by hand."""

from pathlib import Path

import pandas as pd

from variad.core.tables import read_table

ROOT = Path(__file__).parents[3]
CELL = ("dataset", "category", "detector", "scenario", "training_set")


def metrics(cells: dict[tuple[str, ...], list[float]]) -> pd.DataFrame:
    """Schema ``metrics``: image AUROC of run 0, 1, … by the values of ``CELL``."""
    rows = [
        {**dict(zip(CELL, cell, strict=True)), "run": run, "metric": "image_auroc", "value": value}
        for cell, values in cells.items()
        for run, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def published(name: str, schema: str) -> pd.DataFrame:
    """One of the tables of published values."""
    return read_table(ROOT / "resources/published" / f"{name}.csv", schema)
