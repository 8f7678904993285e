"""Rows of the summary with their bootstrap draws, kept so that averages over categories get an interval too."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from variad.aggregation import ROW_KEY, Row
from variad.errors import UserError
from variad.files import writing


def write_rows(path: str | Path, rows: Sequence[Row]) -> None:
    """Write a group ``/{number}`` a row: its key and gain as attributes, ``runs``, ``values`` and ``gain_draws``."""
    with writing(path) as temporary, h5py.File(temporary, "w") as file:
        for number, row in enumerate(rows):
            group = file.create_group(f"{number:06d}")
            group.attrs.update({**row.key, "gain": row.gain})
            group.create_dataset("runs", data=row.runs, dtype=np.int64)
            group.create_dataset("values", data=row.values, dtype=np.float64)
            group.create_dataset("gain_draws", data=row.gain_draws, dtype=np.float64)


def read_rows(path: str | Path) -> list[Row]:
    """Read what ``write_rows`` wrote, in its order.

    Raises:
        UserError: the file is missing or is no such file.
    """
    try:
        with h5py.File(path) as file:
            return [_read_row(file[name]) for name in sorted(file)]
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: expected bootstrap draws by row, found: {error}.") from error


def _read_row(group: h5py.Group) -> Row:
    key = {name: str(group.attrs[name]) for name in ROW_KEY}
    return Row(
        **key,
        runs=tuple(int(run) for run in group["runs"][:]),
        values=group["values"][:],
        gain=float(group.attrs["gain"]),
        gain_draws=group["gain_draws"][:],
    )
