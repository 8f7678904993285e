"""Tables of Markdown pages, read back."""

import re


def rows(page: str) -> list[list[str]]:
    """The cells of every line of a table, heads and the rule under them too, without the spaces that align them."""
    lines = [line.removeprefix("|").removesuffix("|") for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
