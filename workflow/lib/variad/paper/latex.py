"""A table of the document beside ours as LaTeX, with the packages booktabs and graphicx."""

from collections.abc import Sequence

from variad.paper.arrangement import PaperTable
from variad.paper.comparison import Compared
from variad.paper.grid import Line, Style, grid

STYLE = Style(r"$\pm$", "$-$", "--", r"\textsuperscript{{{}}}")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def to_latex(table: PaperTable, numbers: Sequence[Compared], caption: str) -> str:
    """A floating table, as wide as the text; ``caption`` says on what scale the study ran."""
    arranged = grid(table, numbers, STYLE)
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
