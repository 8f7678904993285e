"""Tables 5 to 15: each number of the document beside ours, with their difference and the notes on it.

A table is a CSV, a row a number, and a page that is arranged as the document arranges it: under each of its rows what
was measured, what was published, and the difference.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pandas as pd

from variad.core.tables import write_table
from variad.paper.arrangement import TABLES, PaperTable
from variad.paper.facts import Facts, Measured
from variad.paper.forms import MARKDOWN, Page, Style, letters_of, write_pages

ROWS = {"generated": "Ours", "gain": "Gain(+%)"}  # the document's titles of the second and third row of a block
VALUES = ("measured", "published", "difference")  # the lines under each row of the document
LEGEND = (
    "Percent; mean (± standard deviation over runs). The rows are the document's: the baseline (the shots alone, our "
    "training set `original`), its method `Ours` (our training set `generated`), and the gain in percentage points. "
    "Under each row: *measured* is what this study found, *published* what the document prints, *difference* the "
    "first less the second. “–”: not part of this study, or an average over categories of which it lacks some."
)
LATEX_LEGEND = "Under each of its rows what was measured, what was published, and the difference in percentage points"


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


def write_comparison(
    number: int, measured: Measured, facts: Facts, caption: str, paths: Mapping[str, str | Path]
) -> None:
    """Write table ``number``.

    Args:
        caption: says on what scale the study ran.
        paths: of the forms ``csv`` (schema ``published_comparison``), ``md`` and ``tex``.
    """
    table = TABLES[number]
    numbers = compare(table, measured, facts)
    write_table(paths["csv"], comparison_table(table, numbers), "published_comparison")
    write_pages(paths, lambda style: comparison_page(table, numbers, caption, style), f"published-{number}")


def compare(table: PaperTable, measured: Measured, facts: Facts) -> list[Compared]:
    """The numbers of a table, row by row."""
    return [
        Compared(block, row, column, key, measured.value(key), facts.printed(key), facts.notes(key))
        for block, row, column, key in _places(table)
    ]


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


def comparison_page(table: PaperTable, numbers: Sequence[Compared], caption: str, style: Style) -> Page:
    """The page of one table; ``caption`` says on what scale the study ran."""
    letters = letters_of(note for number in numbers for note in number.notes)
    rows: list[list[str]] = []
    spaces: dict[int, str] = {}
    for _, block in groupby(numbers, key=lambda number: number.block):
        for index, (_, row) in enumerate(groupby(block, key=lambda number: number.key["source"])):
            spaces[len(rows)] = r"\addlinespace" if index else r"\midrule" if rows else ""
            rows += _lines(list(row), letters, style)
    title = f"Table {table.number}: {table.title}"
    if style is not MARKDOWN:
        title = f"Table {table.number} of the first document: {table.title} in percent. {LATEX_LEGEND}"
    heads = ["", "", *map(style.text, table.columns.values())]
    return Page(title, caption, LEGEND, heads, rows, 2, [(letter, text) for text, letter in letters.items()], spaces)


def _lines(row: Sequence[Compared], letters: Mapping[str, str], style: Style) -> Iterator[list[str]]:
    columns = [list(cell) for _, cell in groupby(row, key=lambda number: number.column)]
    for value in VALUES:
        title = ""
        cells = [" / ".join(_text(number, value, letters, style) for number in cell) for cell in columns]
        if value == "measured":
            title = style.bold.format(style.text(row[0].row))
            cells = [cell if cell == MARKDOWN.empty else style.bold.format(cell) for cell in cells]
        yield [title, value, *cells]


def _text(number: Compared, value: str, letters: Mapping[str, str], style: Style) -> str:
    if value == "difference":
        return style.number(number.difference, signed=True)
    mean, std = number.ours if value == "measured" else number.published
    text = style.number(mean, std, signed=number.key["source"] == "gain")
    if value == "published" and number.notes:
        text += style.mark.format(",".join(letters[note] for note in number.notes))
    return text
