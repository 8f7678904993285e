"""A table of the document beside ours as Markdown."""

from collections.abc import Sequence

from variad.paper.arrangement import PaperTable
from variad.paper.comparison import Compared
from variad.paper.grid import Line, Style, grid
from variad.paper.markdown_parts import markdown_notes, markdown_page, markdown_table

STYLE = Style("±", "−", "–", "<sup>{}</sup>")
LEGEND = (
    "Percent; mean (± standard deviation over runs). The rows are the document's: the baseline (the shots alone, our "
    "training set `original`), its method `Ours` (our training set `generated`), and the gain in percentage points. "
    "Under each row: *measured* is what this study found, *published* what the document prints, *difference* the "
    "first less the second. “–”: not part of this study, or an average over categories of which it lacks some."
)


def comparison_page(table: PaperTable, numbers: Sequence[Compared], caption: str) -> str:
    """The page of one table; ``caption`` says on what scale the study ran."""
    arranged = grid(table, numbers, STYLE)
    rows = [_cells(line) for block in arranged.blocks for row in block for line in row]
    values = markdown_table(["", "", *arranged.columns], rows, left=2)
    notes = markdown_notes(arranged.notes)
    return markdown_page(f"Table {table.number}: {table.title}", caption, LEGEND, values, notes)


def _cells(line: Line) -> list[str]:
    title = f"**{line.row}**" if line.row else ""
    return [title, line.value, *([_bold(cell) for cell in line.cells] if line.value == "measured" else line.cells)]


def _bold(cell: str) -> str:
    return cell if cell == STYLE.empty else f"**{cell}**"
