"""Writing tables: one of the document beside ours in its three forms, and pages of text."""

from collections.abc import Mapping
from pathlib import Path

from variad.files import writing
from variad.paper.arrangement import TABLES
from variad.paper.comparison import compare, comparison_table
from variad.paper.facts import Facts
from variad.paper.latex import to_latex
from variad.paper.markdown import comparison_page
from variad.paper.measured import Measured
from variad.tables import write_table


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
    write_text(paths["tex"], to_latex(table, numbers, caption))


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in one go."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
