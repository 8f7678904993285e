"""The numbers of one table of the document, each with ours, the published one, their difference and its notes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from variad.paper.arrangement import PaperTable
from variad.paper.facts import Facts
from variad.paper.measured import Measured

ROWS = {"generated": "Ours", "gain": "Gain(+%)"}  # the document's titles of the second and third row of a block


@dataclass(frozen=True)
class Compared:
    """One number of a table; percent, gains in percentage points, NaN where there is none.

    Attributes:
        block: number of its block of rows.
        row: title of its row; column: of its column, both as the document prints them.
        key: by ``facts.KEY``.
        ours, published: mean and standard deviation over runs.
    """

    block: int
    row: str
    column: str
    key: Mapping[str, str]
    ours: tuple[float, float]
    published: tuple[float, float]
    notes: tuple[str, ...]

    @property
    def difference(self) -> float:
        """Our mean less the published one, percentage points."""
        return round(self.ours[0] - self.published[0], 4) + 0.0


def compare(table: PaperTable, measured: Measured, facts: Facts) -> list[Compared]:
    """The numbers of a table, row by row."""
    return [
        Compared(block, row, column, key, measured.value(key), facts.printed(key), facts.notes(key))
        for block, row, column, key in _places(table)
    ]


def comparison_table(table: PaperTable, numbers: Sequence[Compared]) -> pd.DataFrame:
    """Schema ``published_comparison``, one row a number."""
    rows = [
        {
            "table": table.number,
            "row": number.row,
            "column": number.column,
            **number.key,
            "ours_mean": number.ours[0],
            "ours_std": number.ours[1],
            "published_mean": number.published[0],
            "published_std": number.published[1],
            "difference": number.difference,
            "footnote": " ".join(number.notes),
        }
        for number in numbers
    ]
    return pd.DataFrame(rows)


def _places(table: PaperTable) -> Iterator[tuple[int, str, str, dict[str, str]]]:
    """Number of the block, titles of row and column, and key of every number, in reading order."""
    for index, (block, title) in enumerate(table.blocks.items()):
        for source, row in {"original": title, **ROWS}.items():
            for column, heading in table.columns.items():
                for key in table.keys(block, column):
                    yield index, row, heading, {**key, "source": source}
    if table.block_key == "detector":  # the mean gain of all detectors, below them
        for column, heading in table.columns.items():
            for key in table.keys("average", column):
                yield len(table.blocks), "Average", heading, {**key, "source": "gain"}
