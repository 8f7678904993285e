"""The support set of every run: what a detector knows, what anomalies are made from, what is compared with them."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from variad.errors import UserError
from variad.tables import read_table


@dataclass(frozen=True)
class Support:
    """image_ids of one run, disjoint and in order.

    Attributes:
        bank: what a detector is fitted on.
        seeds: what anomalies are made from.
        validation: the normal half of the synthetic test.
    """

    bank: tuple[str, ...]
    seeds: tuple[str, ...]
    validation: tuple[str, ...]

    @property
    def styles(self) -> tuple[str, ...]:
        """First half of the seeds."""
        return self.seeds[: len(self.seeds) // 2]

    @property
    def contents(self) -> tuple[str, ...]:
        """Second half of the seeds."""
        return self.seeds[len(self.seeds) // 2 :]


def read_support(path: str | Path) -> dict[int, Support]:
    """The support sets of a ``support.csv``, by run.

    Raises:
        UserError: the table is empty, or an image has two places in a run.
    """
    table = read_table(path, "support")
    if table.empty:
        raise UserError(f"{path}: expected the images of at least one run, found an empty table.")
    twice = table[table.duplicated(["run", "image_id"])]
    if len(twice):
        raise UserError(f"{path}: expected each image once a run, found {twice['image_id'].iloc[0]} twice.")
    return {int(run): _support(rows) for run, rows in table.groupby("run", sort=True)}  # type: ignore[arg-type]


def all_image_ids(support: dict[int, Support]) -> list[str]:
    """Every image of every run once, sorted."""
    return sorted({name for run in support.values() for name in (*run.bank, *run.seeds, *run.validation)})


def control_image_ids(support: dict[int, Support]) -> list[str]:
    """Every image that stands for normal in some run, bank or validation, once, sorted."""
    return sorted({name for run in support.values() for name in (*run.bank, *run.validation)})


def _support(rows: pd.DataFrame) -> Support:
    sets = {name: tuple(rows.loc[rows["set"] == name, "image_id"]) for name in ("bank", "seeds", "validation")}
    return Support(**sets)
