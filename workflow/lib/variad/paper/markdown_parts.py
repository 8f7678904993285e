"""Pieces of Markdown that the pages of tables share."""

from collections.abc import Sequence


def quoted(caption: str) -> str:
    """A caption as a quotation, line by line; nothing stays nothing."""
    return "\n".join(f"> {line}" for line in caption.splitlines())


def markdown_rows(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table whose first ``left`` columns are text and whose others are numbers, set right."""
    rule = ["---" if index < left else "---:" for index in range(len(heads))]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in [heads, rule, *rows]
    )
