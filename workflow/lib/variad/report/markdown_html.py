"""The Markdown that our tables are written in, as HTML: headings, quotations, paragraphs, tables and code, no more."""

import re
from collections.abc import Iterator

from variad.report.embedding import text


def to_html(markdown: str) -> str:
    """HTML of a Markdown table page; its headings become h2 and h3, everything is escaped."""
    blocks = re.split(r"\n{2,}", markdown.strip())
    return "\n".join(_block(block.splitlines()) for block in blocks if block.strip())


def _block(lines: list[str]) -> str:
    first = lines[0]
    if first.startswith("#"):
        level = min(6, len(first) - len(first.lstrip("#")) + 1)
        return f"<h{level}>{_inline(first.lstrip('# '))}</h{level}>"
    if first.startswith("|"):
        return _table(lines)
    said = " ".join(line.removeprefix("> ").removeprefix(">") for line in lines)
    return f'<p class="faint">{_inline(said)}</p>'


def _table(lines: list[str]) -> str:
    heads, rule, *rows = (_cells(line) for line in lines)
    kinds = [' class="number"' if mark.strip().endswith(":") else "" for mark in rule]
    head = "".join(f'<th scope="col"{kind}>{_inline(cell)}</th>' for cell, kind in zip(heads, kinds, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{_inline(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table">{table}</div>'


def _cells(line: str) -> list[str]:
    inside = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inside)]


def _inline(words: str) -> str:
    return "".join(_spans(text(words)))


def _spans(escaped: str) -> Iterator[str]:
    for number, part in enumerate(escaped.split("`")):
        yield f"<code>{part}</code>" if number % 2 else part
