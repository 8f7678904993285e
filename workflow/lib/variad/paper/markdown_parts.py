"""Pages and tables in Markdown."""

from collections.abc import Iterable, Sequence

from tabulate import tabulate


def markdown_page(title: str, caption: str, *parts: str) -> str:
    """A page: its title, the caption as a quotation, and the parts, a blank line between them; empty ones are left out.

    Args:
        caption: on what scale the study ran.
    """
    quotation = "\n".join(f"> {line}" for line in caption.splitlines())
    return "\n\n".join(part for part in (f"# {title}", quotation, *parts) if part) + "\n"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table whose first ``left`` columns are text and whose others are numbers, set right."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in [heads, *rows]]
    sides = ["left"] * left + ["right"] * (len(heads) - left)
    return tabulate(lines[1:], lines[0], tablefmt="pipe", disable_numparse=True, colalign=sides)


def markdown_notes(notes: Iterable[tuple[str, str]]) -> str:
    """Footnotes under a table: (letter, text)."""
    return "\n".join(f"- <sup>{letter}</sup> {text}" for letter, text in notes)
