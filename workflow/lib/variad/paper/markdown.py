"""A table of the document beside ours as Markdown."""

from collections.abc import Sequence

from variad.paper.arrangement import PaperTable
from variad.paper.comparison import Compared
from variad.paper.grid import Line, Style, grid
from variad.paper.markdown_parts import markdown_rows, quoted

STYLE = Style("±", "−", "–", "<sup>{}</sup>")
LEGEND = (
    "Percent; mean (± standard deviation over runs). The rows are the document's: the baseline (the shots alone, our "
    "training set `original`), its method `Ours` (our training set `generated`), and the gain in percentage points. "
    "Under each row: *measured* is what this study found, *published* what the document prints, *difference* the "
    "first less the second. “–”: not part of this study, or an average over categories of which it lacks some."
)


def to_markdown(table: PaperTable, numbers: Sequence[Compared], caption: str) -> str:
    """The page of one table; ``caption`` says on what scale the study ran."""
    arranged = grid(table, numbers, STYLE)
    rows = [_cells(line) for block in arranged.blocks for row in block for line in row]
    parts = [
        f"# Table {table.number}: {table.title}",
        quoted(caption),
        LEGEND,
        markdown_rows(["", "", *arranged.columns], rows, left=2),
        "\n".join(f"- <sup>{letter}</sup> {text}" for letter, text in arranged.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(line: Line) -> list[str]:
    title = f"**{line.row}**" if line.row else ""
    return [title, line.value, *([_bold(cell) for cell in line.cells] if line.value == "measured" else line.cells)]


def _bold(cell: str) -> str:
    return cell if cell == STYLE.empty else f"**{cell}**"
