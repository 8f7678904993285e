"""Training sets against each other, not only against ``original``: what one setting changes, all else being equal."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from variad.aggregation import DECIMALS, ROW_KEY, Row
from variad.errors import UserError
from variad.metrics.bootstrap import interval

COLUMNS = [*ROW_KEY, "against", "difference", "low", "high", "runs"]


def contrast_table(rows: Sequence[Row], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """The table of schema ``contrasts``: for each pair the first training set less the second, percentage points.

    Every row's draws resample the same runs and test images, so that their differences are paired, too.

    Args:
        rows: of categories and averages, with their bootstrap draws; ``original`` has none and counts as no gain.

    Raises:
        UserError: a pair names a training set that no row has.
    """
    known = {row.training_set for row in rows}
    unknown = [name for pair in pairs for name in pair if name not in known]
    if unknown:
        raise UserError(
            f"config key study.contrasts: expected training sets of the study, found {unknown[0]!r} among no results."
        )
    table = []
    for first, second in pairs:
        other = {_place(row): row for row in rows if row.training_set == second}
        table += [_difference(row, other[_place(row)]) for row in rows if _matches(row, first, other)]
    return pd.DataFrame(table, columns=COLUMNS)


def _matches(row: Row, name: str, other: dict[tuple[str, ...], Row]) -> bool:
    return row.training_set == name and _place(row) in other


def _place(row: Row) -> tuple[str, ...]:
    """Everything that names a row but its training set."""
    return tuple(value for name, value in row.key.items() if name != "training_set")


def _difference(row: Row, other: Row) -> dict[str, object]:
    drawn = [side.gain_draws for side in (row, other) if side.gain_draws.size]
    draws = (row.gain_draws if row.gain_draws.size else 0.0) - (other.gain_draws if other.gain_draws.size else 0.0)
    low, high = interval(np.asarray(draws)) if drawn else (np.nan, np.nan)
    values = {"difference": row.values.mean() - other.values.mean(), "low": low, "high": high}
    percent = {name: round(100 * float(value), DECIMALS) + 0.0 for name, value in values.items()}
    return {**row.key, "against": other.training_set, **percent, "runs": min(len(row.runs), len(other.runs))}
