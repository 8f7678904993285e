"""How tables beside the document's are written for reading: a page with footnotes, as Markdown and as LaTeX."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from variad.core.files import write_text
from variad.core.tables import markdown_notes, markdown_page, markdown_table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def escape(text: str) -> str:
    """Plain text with every character that LaTeX would read as a command made to print."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


@dataclass(frozen=True)
class Style:
    """How texts and numbers look in one form.

    Attributes:
        plus_minus, minus, empty: the signs, and what stands where there is no number.
        mark, bold: with ``{}`` for the letters of notes, and for what is set in bold.
        text: makes a text of this form from one in Markdown.
    """

    plus_minus: str
    minus: str
    empty: str
    mark: str
    bold: str
    text: Callable[[str], str]

    def number(self, mean: float, std: float = math.nan, digits: int = 1, signed: bool = False) -> str:
        """A mean and, where there is one, its standard deviation; no number rounds to minus nothing."""
        if math.isnan(mean):
            return self.empty
        rounded = round(mean, digits) + 0.0
        text = f"{rounded:{'+' if signed else ''}.{digits}f}".replace("-", self.minus)
        return text if math.isnan(std) else f"{text} ({self.plus_minus}{std:.{digits}f})"

    def value(self, row: Mapping[Any, Any], value: str, marks: str, digits: int = 1, signed: bool = False) -> str:
        """One of ``VALUES`` of a row with ``ours_mean``, ``ours_std`` and so on; ``marks`` are the letters of notes."""
        if value == "difference":
            return self.number(row["difference"], digits=digits, signed=True)
        whose = "ours" if value == "measured" else "published"
        text = self.number(row[f"{whose}_mean"], row[f"{whose}_std"], digits, signed)
        return text + self.mark.format(marks) if marks and value == "published" else text


VALUES = ("measured", "published", "difference")  # the lines under each row of the document
MARKDOWN = Style("±", "−", "–", "<sup>{}</sup>", "**{}**", str)
LATEX = Style(
    *(r"$\pm$", "$-$", "--", r"\textsuperscript{{{}}}", r"\textbf{{{}}}"),
    lambda text: escape(text.replace("`", "").replace("–", "--")),
)


@dataclass(frozen=True)
class Page:
    """A table for reading, its texts and numbers in the style of one form.

    Attributes:
        title, legend: what it shows; caption: on what scale the study ran. All three in any style.
        left: how many of the columns are text.
        rows: cells; notes: (letter, text).
        spaces: LaTeX's command before a row, by the row's number.
    """

    title: str
    caption: str
    legend: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int
    notes: Sequence[tuple[str, str]] = ()
    spaces: Mapping[int, str] = field(default_factory=dict)


def letters_of(notes: Iterable[str]) -> dict[str, str]:
    """A letter for each text, by first mention; empty texts have none."""
    return {text: _letter(index) for index, text in enumerate(dict.fromkeys(filter(None, notes)))}


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else _letter(index // 26 - 1) + _letter(index % 26)


def markdown(page: Page) -> str:
    """A page in style ``MARKDOWN`` as text."""
    table = markdown_table(page.heads, page.rows, left=page.left)
    return markdown_page(page.title, page.caption, page.legend, table, markdown_notes(page.notes))


def latex(page: Page, label: str) -> str:
    """A page in style ``LATEX`` as a floating table as wide as the text, with the packages booktabs and graphicx."""
    notes = [rf"\textsuperscript{{{letter}}} {LATEX.text(text)}\par" for letter, text in page.notes]
    columns = "l" * page.left + "r" * (len(page.heads) - page.left)
    rows = [line for number, row in enumerate(page.rows) for line in (page.spaces.get(number), _latex_row(row)) if line]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(' '.join([page.title + '.', *page.caption.split()]))}}}",
            rf"\label{{tab:{label}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _latex_row(page.heads),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            *([r"\par\medskip", r"\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}"] * bool(notes)),
            r"\end{table}",
            "",
        ]
    )


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def write_pages(paths: Mapping[str, str | Path], page_of: Callable[[Style], Page], label: str) -> None:
    """Write a page as Markdown to ``paths["md"]`` and as LaTeX to ``paths["tex"]``."""
    write_text(paths["md"], markdown(page_of(MARKDOWN)))
    write_text(paths["tex"], latex(page_of(LATEX), label))
