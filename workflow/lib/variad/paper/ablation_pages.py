"""Tables 4 and 16 to 18 for reading, as Markdown and LaTeX, in the manner of tables 5 to 15."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from variad.core.files import writing
from variad.core.tables import markdown_notes, markdown_page, markdown_table
from variad.paper.ablation_tables import prompt_rows
from variad.paper.ablation_values import ROW_TITLES
from variad.paper.comparison import VALUES, Style
from variad.paper.forms import LATEX_STYLE as LATEX
from variad.paper.forms import MARKDOWN_STYLE as MARKDOWN
from variad.paper.forms import escape

METRIC_TITLES = {
    "image_auroc": "AUROC (%)",
    "ssim": "SSIM",
    "psnr": "PSNR (dB)",
    "vif": "VIF",
    "lpips": "LPIPS",
}
DIGITS = {"image_auroc": 1}  # decimals; two for the others
LEGEND = (
    "Mean (± standard deviation over runs); AUROC in percent, gains over the shots alone (our training set `original`, "
    "paired by run) in percentage points. Under each row: *measured* is what this study found, *published* what the "
    "document prints, *difference* the first less the second. “–”: not measured, or not printed. Lower is better for "
    "LPIPS, higher for the others."
)
LEGEND_OF_PROMPTS = (
    "The candidates with the highest and the lowest cosine with the shots of the first run; the CSV has every run. "
    "Published: what the document prints, from another encoder's choice among other words where the study has these."
)


@dataclass(frozen=True)
class Page:
    """A table for reading.

    Attributes:
        title, legend: what it shows; caption: on what scale the study ran.
        left: how many of the columns are text.
        rows: cells; notes: (letter, text).
    """

    title: str
    caption: str
    legend: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int
    notes: Sequence[tuple[str, str]] = ()


def value_page(table: pd.DataFrame, title: str, caption: str, style: Style) -> Page:
    """A page of schema ``ablation_table``: each row of the document as three lines, AUROC with a column of gains."""
    letters = _letters(table["footnote"])
    columns = list(table[["column", "metric"]].drop_duplicates().itertuples(index=False, name=None))
    heads = ["", ""] + [head for column, metric in columns for head in _heads(column, metric)]
    rows = []
    for (row, training_set), part in table.groupby(["row", "training_set"], sort=False):
        found = dict(zip(part["column"], part.to_dict("records"), strict=True))
        for value in VALUES:
            title_of = _title(str(row), str(training_set)) if value == VALUES[0] else ""
            cells = [cell for column, _ in columns for cell in _cells(found[column], value, letters, style)]
            rows.append([title_of, value, *cells])
    return Page(title, caption, LEGEND, heads, rows, 2, [(letter, text) for text, letter in letters.items()])


def prompt_page(table: pd.DataFrame, caption: str) -> Page:
    """A page of schema ``ablation_prompts``."""
    heads, rows = prompt_rows(table)
    notes = [(letter, text) for text, letter in _letters(table["footnote"]).items()]
    title = "Table 4: prompts that match the shots best and worst"
    return Page(title, caption, LEGEND_OF_PROMPTS, heads, rows, len(heads), notes)


def write_pages(paths: Mapping[str, str | Path], markdown: Page, latex: Page, label: str) -> None:
    """Write a page as Markdown to ``paths["md"]`` and as LaTeX to ``paths["tex"]``."""
    for path, text in ((paths["md"], ablation_page(markdown)), (paths["tex"], page_latex(latex, label))):
        with writing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")


def write_value_pages(paths: Mapping[str, str | Path], table: pd.DataFrame, title: str, caption: str) -> None:
    """Both pages of a table of schema ``ablation_table``."""
    markdown, latex = (value_page(table, title, caption, style) for style in (MARKDOWN, LATEX))
    write_pages(paths, markdown, latex, title.partition(":")[0].lower().replace(" ", "-"))


def ablation_page(page: Page) -> str:
    """The page as Markdown."""
    table = markdown_table(page.heads, page.rows, left=page.left)
    return markdown_page(page.title, page.caption, page.legend, table, markdown_notes(page.notes))


def page_latex(page: Page, label: str) -> str:
    """The page as a floating LaTeX table, with the packages booktabs and graphicx."""
    notes = [rf"\textsuperscript{{{letter}}} {escape(_plain(text))}\par" for letter, text in page.notes]
    columns = "l" * page.left + "r" * (len(page.heads) - page.left)
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
            " & ".join(escape(_plain(head)) for head in page.heads) + r" \\",
            r"\midrule",
            *(_latex_row(row, page.left) for row in page.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            *([r"\par\medskip", r"\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}"] * bool(notes)),
            r"\end{table}",
            "",
        ]
    )


def _latex_row(cells: Sequence[str], left: int) -> str:
    # numbers come with LaTeX's own signs already
    return " & ".join([*(escape(_plain(cell)) for cell in cells[:left]), *cells[left:]]) + r" \\"


def _plain(text: str) -> str:
    return text.replace("`", "").replace("–", "--")


def _heads(column: str, metric: str) -> list[str]:
    title = METRIC_TITLES[metric] if column == metric else column
    return [title, "Gain"] if metric == "image_auroc" else [title]


def _title(row: str, training_set: str) -> str:
    title = ROW_TITLES.get(row, row)
    return title if training_set in (row, "original") else f"{title} ({training_set})"


def _cells(entry: Mapping[Any, Any], value: str, letters: Mapping[str, str], style: Style) -> Iterator[str]:
    digits = DIGITS.get(entry["metric"], 2)
    with_gain = entry["metric"] == "image_auroc"
    if value == "difference":
        yield _number(entry["difference"], math.nan, digits, True, style)
        if with_gain:
            yield _number(entry["ours_gain"] - entry["published_gain"], math.nan, digits, True, style)
        return
    whose = "ours" if value == "measured" else "published"
    text = _number(entry[f"{whose}_mean"], entry[f"{whose}_std"], digits, False, style)
    if value == "published" and entry["footnote"]:
        text += style.mark.format(letters[entry["footnote"]])
    yield text
    if with_gain:
        yield _number(entry[f"{whose}_gain"], entry.get(f"{whose}_gain_std", math.nan), digits, True, style)


def _number(mean: float, std: float, digits: int, signed: bool, style: Style) -> str:
    if math.isnan(mean):
        return style.empty
    rounded = round(mean, digits) + 0.0
    text = (f"{rounded:+.{digits}f}" if signed else f"{rounded:.{digits}f}").replace("-", style.minus)
    return text if math.isnan(std) else f"{text} ({style.plus_minus}{std:.{digits}f})"


def _letters(notes: "pd.Series[str]") -> dict[str, str]:
    texts = list(dict.fromkeys(text for text in notes if text))
    return {text: chr(ord("a") + number) for number, text in enumerate(texts)}
