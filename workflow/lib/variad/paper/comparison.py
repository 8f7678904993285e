"""The numbers of one table of the document, each with ours, the published one, their difference and its notes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from variad.paper.arrangement import PaperTable
from variad.paper.facts import Facts, Measured

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


# The lines of a table for reading: under each row of the document what was measured, published, and the difference.

VALUES = ("measured", "published", "difference")


@dataclass(frozen=True)
class Style:
    """How numbers look in one kind of text.

    Attributes:
        plus_minus, minus, empty: the signs, and what stands where there is no number.
        mark: with ``{}`` for the letters of the notes.
    """

    plus_minus: str
    minus: str
    empty: str
    mark: str


@dataclass(frozen=True)
class Line:
    """One line: the row's title on the first of its three, which of ``VALUES`` it holds, and a text a column."""

    row: str
    value: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table for reading.

    Attributes:
        columns: titles of the columns.
        blocks: of each block its rows, of each row its three lines.
        notes: (letter, text) of each note, by first mention.
    """

    columns: tuple[str, ...]
    blocks: tuple[tuple[tuple[Line, ...], ...], ...]
    notes: tuple[tuple[str, str], ...]


def grid(table: PaperTable, numbers: Sequence[Compared], style: Style) -> Grid:
    """Arrange the numbers of one table as the document does."""
    texts = dict.fromkeys(text for number in numbers for text in number.notes)
    letters = {text: _letter(index) for index, text in enumerate(texts)}
    blocks = [
        tuple(_lines(list(row), letters, style) for _, row in groupby(block, key=lambda number: number.key["source"]))
        for _, block in groupby(numbers, key=lambda number: number.block)
    ]
    return Grid(tuple(table.columns.values()), tuple(blocks), tuple((letters[text], text) for text in texts))


def _lines(row: Sequence[Compared], letters: dict[str, str], style: Style) -> tuple[Line, ...]:
    cells = [list(cell) for _, cell in groupby(row, key=lambda number: number.column)]
    return tuple(
        Line(
            row[0].row if value == "measured" else "",
            value,
            tuple(" / ".join(_text(number, value, letters, style) for number in cell) for cell in cells),
        )
        for value in VALUES
    )


def _text(number: Compared, value: str, letters: dict[str, str], style: Style) -> str:
    if value == "difference":
        return _number(number.difference, float("nan"), True, style)
    mean, std = number.ours if value == "measured" else number.published
    text = _number(mean, std, number.key["source"] == "gain", style)
    if value == "published" and number.notes:
        text += style.mark.format(",".join(letters[note] for note in number.notes))
    return text


def _number(mean: float, std: float, signed: bool, style: Style) -> str:
    if math.isnan(mean):
        return style.empty
    text = f"{mean + 0.0:+.1f}" if signed else f"{mean:.1f}"
    # A small negative number rounds to nothing, not to minus nothing.
    text = text.replace("-0.0", "+0.0").replace("-", style.minus)
    return text if math.isnan(std) else f"{text} ({style.plus_minus}{std:.1f})"


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else _letter(index // 26 - 1) + _letter(index % 26)
