"""Pages of the gallery for selection and outlier exposure: tables, figures and contact sheets in one file each.

They are not part of the main job. So that the first page can link them once they exist, each comes with a small script
that the first page asks for; while it is missing, nothing happens.
"""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from PIL import Image

from variad.core.files import write_text
from variad.report.gallery import ASSETS, fill, text

# Headings, quotations, paragraphs, tables and code, no more: a user's names stay as they are and hold no markup.
_MARKDOWN = MarkdownIt("zero").enable(["heading", "blockquote", "table", "backticks", "newline"])
_TABLE = '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'
_RULES = {"table_open": _TABLE, "table_close": "</table></div>", "blockquote_open": "", "blockquote_close": ""}
for _kind, _html in (_RULES | {"softbreak": " ", "hardbreak": " "}).items():
    _MARKDOWN.add_render_rule(_kind, lambda *_, html=_html: html)
SHEET_QUALITY = 85
CARD_WIDTH = 224  # pixels


def to_html(markdown: str) -> str:
    """HTML of a Markdown table page; its headings become h2 and h3, everything is escaped."""
    tokens = _MARKDOWN.parse(markdown)
    for token in tokens:
        token.block = False  # all in one line
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        elif token.type == "paragraph_open":
            token.attrs = {"class": "faint"}
        elif token.type in ("th_open", "td_open"):
            is_number = token.attrs.get("style") == "text-align:right"
            token.attrs = {"scope": "col"} if token.type == "th_open" else {}
            token.attrs |= {"class": "number"} if is_number else {}
    return _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})


@dataclass(frozen=True)
class Part:
    """A part of a page.

    Attributes:
        title: empty for none, where the tables have titles of their own.
        tables: Markdown files, under each other.
        figures: SVG files.
        sheets: labels and PNG files, shown folded.
    """

    title: str = ""
    tables: Sequence[str | Path] = ()
    figures: Sequence[str | Path] = ()
    sheets: Sequence[tuple[str, str | Path]] = ()


def build_branch_page(target: str | Path, title: str, lead: str, parts: Sequence[Part]) -> None:
    """Write a page with everything inside it."""
    fill(
        target,
        "branch.html",
        title=text(title),
        lead=text(lead),
        style=(ASSETS / "gallery.css").read_text("utf-8"),
        body="\n".join(_part(part) for part in parts),
    )


def write_link(target: str | Path, page: str, title: str, lead: str, picture: str | Path) -> None:
    """Write the script that puts a card for ``page`` on the gallery's first page.

    Args:
        picture: PNG that the card shows, made small.
    """
    card = (
        f'<a class="category" href="./{text(page)}">'
        f'<img src="{_jpeg(picture, CARD_WIDTH)}" alt="" width="112" height="112">'
        f"<span><strong>{text(title)}</strong><small>{text(lead)}</small></span></a>"
    )
    script = (
        '"use strict";\n'
        "(() => {\n"
        '  const item = document.createElement("li");\n'
        f"  item.innerHTML = {json.dumps(card)};\n"
        '  document.getElementById("branch-pages").append(item);\n'
        '  document.getElementById("branches-hint").hidden = true;\n'
        "})();\n"
    )
    write_text(target, script)


def _part(part: Part) -> str:
    blocks = [f"<h2>{text(part.title)}</h2>"] if part.title else []
    blocks += [to_html(Path(path).read_text("utf-8")) for path in part.tables]
    for path in map(Path, part.figures):
        data, name = base64.b64encode(path.read_bytes()).decode("ascii"), text(path.stem.replace("_", " "))
        blocks.append(f'<figure><img alt="Figure: {name}" src="data:image/svg+xml;base64,{data}"></figure>')
    for label, sheet in part.sheets:
        picture = f'<figure><img alt="Contact sheet of {text(label)}" src="{_jpeg(sheet)}"></figure>'
        blocks.append(f"<details><summary>{text(label)}</summary>{picture}</details>")
    return "<section>\n" + "\n".join(blocks) + "\n</section>"


def _jpeg(path: str | Path, width: int | None = None) -> str:
    """A picture as the address of a JPEG that holds it."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if width is not None:
        # the upper left square, where a figure begins, rather than all of it too small to see
        side = min(picture.size)
        picture = picture.crop((0, 0, side, side)).resize((width, width), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=SHEET_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
