"""A table of the document beside ours as LaTeX, with the packages booktabs and graphicx."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from variad.core.files import writing
from variad.core.tables import markdown_notes, markdown_page, markdown_table, write_table
from variad.paper.arrangement import TABLES, PaperTable
from variad.paper.comparison import Compared, Line, Style, compare, comparison_table, grid
from variad.paper.facts import Facts, Measured

LATEX_STYLE = Style(r"$\pm$", "$-$", "--", r"\textsuperscript{{{}}}")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def table_latex(table: PaperTable, numbers: Sequence[Compared], caption: str) -> str:
    """A floating table, as wide as the text; ``caption`` says on what scale the study ran."""
    arranged = grid(table, numbers, LATEX_STYLE)
    width = len(arranged.columns)
    body: list[str] = []
    for index, block in enumerate(arranged.blocks):
        body += [r"\midrule"] if index else []
        for number, row in enumerate(block):
            body += [r"\addlinespace"] if number else []
            body += [_line(line) for line in row]
    notes = [rf"\textsuperscript{{{letter}}} {escape(text)}\par" for letter, text in arranged.notes]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_caption(table, caption)}}}",
            rf"\label{{tab:published-{table.number}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{ll{'r' * width}}}",
            r"\toprule",
            _row(["", "", *map(escape, arranged.columns)]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            *([r"\par\medskip", r"\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}"] * bool(notes)),
            r"\end{table}",
            "",
        ]
    )


def escape(text: str) -> str:
    """Plain text with every character that LaTeX would read as a command made to print."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def _caption(table: PaperTable, caption: str) -> str:
    parts = [
        f"Table {table.number} of the first document: {table.title} in percent.",
        "Under each of its rows what was measured, what was published, and the difference in percentage points.",
        *caption.split(),
    ]
    return escape(" ".join(parts))


def _line(line: Line) -> str:
    title = rf"\textbf{{{escape(line.row)}}}" if line.row else ""
    return _row(
        [title, line.value, *(rf"\textbf{{{cell}}}" if line.value == "measured" else cell for cell in line.cells)]
    )


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


# A table of the document beside ours as Markdown.

MARKDOWN_STYLE = Style("±", "−", "–", "<sup>{}</sup>")
LEGEND = (
    "Percent; mean (± standard deviation over runs). The rows are the document's: the baseline (the shots alone, our "
    "training set `original`), its method `Ours` (our training set `generated`), and the gain in percentage points. "
    "Under each row: *measured* is what this study found, *published* what the document prints, *difference* the "
    "first less the second. “–”: not part of this study, or an average over categories of which it lacks some."
)


def comparison_page(table: PaperTable, numbers: Sequence[Compared], caption: str) -> str:
    """The page of one table; ``caption`` says on what scale the study ran."""
    arranged = grid(table, numbers, MARKDOWN_STYLE)
    rows = [_cells(line) for block in arranged.blocks for row in block for line in row]
    values = markdown_table(["", "", *arranged.columns], rows, left=2)
    notes = markdown_notes(arranged.notes)
    return markdown_page(f"Table {table.number}: {table.title}", caption, LEGEND, values, notes)


def _cells(line: Line) -> list[str]:
    title = f"**{line.row}**" if line.row else ""
    return [title, line.value, *([_bold(cell) for cell in line.cells] if line.value == "measured" else line.cells)]


def _bold(cell: str) -> str:
    return cell if cell == MARKDOWN_STYLE.empty else f"**{cell}**"


# Writing tables: one of the document beside ours in its three forms, and pages of text.


def write_comparison(
    number: int, measured: Measured, facts: Facts, caption: str, paths: Mapping[str, str | Path]
) -> None:
    """Write table ``number``.

    Args:
        paths: of the forms ``csv`` (schema ``published_comparison``), ``md`` and ``tex``.
    """
    table = TABLES[number]
    numbers = compare(table, measured, facts)
    write_table(paths["csv"], comparison_table(table, numbers), "published_comparison")
    write_text(paths["md"], comparison_page(table, numbers, caption))
    write_text(paths["tex"], table_latex(table, numbers, caption))


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in one go."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
