"""The gallery's pages in one file each: the first one, and those of selection and outlier exposure.

The first page has the study's table and figure, and a card for every category. The others have tables, figures and
contact sheets; they are not part of the main job. So that the first page can link them once they exist, each comes with
a small script that the first page asks for; while it is missing, nothing happens.
"""

import base64
import io
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt
from PIL import Image

from variad.core.files import write_text
from variad.evaluation.aggregation import BASELINE, SCENARIOS
from variad.report.markup import ASSETS, fill, fragment, href, no_page_yet, text

Axis = tuple[float, float]  # lowest and highest gain that the small drawings of the table rows have room for

FILTERS = ("dataset", "category", "detector", "scenario", "training_set", "metric")
# Headings, quotations, paragraphs, tables and code, no more: a user's names stay as they are and hold no markup.
_MARKDOWN = MarkdownIt("zero").enable(["heading", "blockquote", "table", "backticks", "newline"])
_TABLE = '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'
_RULES = {"table_open": _TABLE, "table_close": "</table></div>", "blockquote_open": "", "blockquote_close": ""}
for _kind, _html in (_RULES | {"softbreak": " ", "hardbreak": " "}).items():
    _MARKDOWN.add_render_rule(_kind, lambda *_, html=_html: html)
OVERVIEW_SCRIPTS = ("dom.js", "words.js", "address.js", "overview.js")
BRANCHES = ("selection", "exposure")  # pages of other targets, each with a script that links it
CARD_QUALITY = 85
CARD_WIDTH = 224  # pixels


def build_overview(target: str | Path, pages: list[Path], summary: pd.DataFrame, figure: str | Path) -> None:
    """Write ``index.html`` with everything inside it but the categories' pages.

    Beside it lie empty scripts in place of those that will link the pages of selection and exposure, if there are none.

    Args:
        target: the file; the pages lie below its folder as ``{dataset}/{category}``.
        pages: folders of the categories' pages.
        summary: table ``summary``.
        figure: the figure of gains as SVG.
    """
    fill(
        target,
        "overview.html",
        style=(ASSETS / "gallery.css").read_text("utf-8"),
        script="\n".join((ASSETS / name).read_text("utf-8") for name in OVERVIEW_SCRIPTS),
        cards="\n".join(_card(page) for page in pages),
        figure=base64.b64encode(Path(figure).read_bytes()).decode("ascii"),
        shape=_shape(Path(figure).read_text("utf-8")),
        rows="\n".join(summary_rows(summary, {page.parts[-2:] for page in pages})),
        heads="".join(f'<th scope="col">{_explained(name)}</th>' for name in FILTERS),
    )
    for name in BRANCHES:
        no_page_yet(Path(target).with_name(f"{name}.js"))


def _explained(name: str) -> str:
    """The head of a column, which ``words.js`` turns into a button that explains it."""
    shown = text(name.replace("_", " "))
    return shown if name in ("dataset", "category") else f'<span data-word="{name}">{shown}</span>'


def summary_rows(summary: pd.DataFrame, linked: Collection[tuple[str, ...]] = ()) -> list[str]:
    """One table row of HTML for every row of the summary, all names escaped; ``linked`` categories have a page."""
    axis = _gain_axis(summary)
    best = summary.groupby(["dataset", "category", "detector", "scenario", "metric"])["mean"].transform("max")
    rows: Any = summary.to_dict("records")
    return [_row(row, bool(row["mean"] == top), axis, linked) for row, top in zip(rows, best, strict=True)]


def _gain_axis(summary: pd.DataFrame) -> Axis:
    # Wild intervals of single categories would flatten all others: the axis ends at their 2nd and 98th percentiles.
    ends = pd.concat([summary["gain_low"], summary["gain_high"], summary["gain"]]).dropna()
    if ends.empty:
        return -1.0, 1.0
    low, high = min(0.0, float(ends.quantile(0.02))), max(0.0, float(ends.quantile(0.98)))
    margin = 0.05 * max(high - low, 1.0)
    return low - margin, high + margin


def _shape(svg: str) -> str:
    """Whether a figure is so much higher than wide that, seen whole, it could not be read."""
    sides = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    return "tall" if sides and float(sides[2]) > 1.2 * float(sides[1]) else ""


def _position(value: float, axis: Axis) -> float:
    """Where a gain lies on an axis, in per cent of its width."""
    return min(100.0, max(0.0, round(100 * (value - axis[0]) / (axis[1] - axis[0]), 2)))


def _card(page: Path) -> str:
    dataset, category = page.parts[-2:]
    card = json.loads((page / "card.json").read_text("utf-8"))
    index, picture = href(dataset, category, "index.html"), ""
    if card["shot"] is not None:
        address = href(dataset, category, "images", f"{card['shot']}.jpg")
        picture = f'<img src="{text(address)}" alt="" loading="lazy" width="112" height="112">'
    tested = _link(index + fragment("tests"), f"{card['tested']} test images")
    cells = _link(fragment(dataset=dataset, category=category), f"{card['cells']} cells")
    added = _link(index + fragment("added"), f"{card['added']} added images")
    accepted = _link(index + fragment("added", accepted="true"), f"{card['accepted']} accepted")
    pile = _link(index + fragment("unlabelled"), f"{card['unlabelled']} unlabelled photographs")
    return (
        f'<li class="category">{picture}<span><strong>{_link(index, text(category))}</strong>'
        f"<small>{text(dataset)}</small><small>{tested} in {cells}</small>"
        f"<small>{added}, {accepted}</small>{f'<small>{pile}</small>' if card['unlabelled'] else ''}</span></li>"
    )


def _link(address: str, shown: str) -> str:
    """A link; ``shown`` is HTML."""
    return f'<a href="{text(address)}">{shown}</a>'


def _row(row: dict[str, Any], best: bool, axis: Axis, linked: Collection[tuple[str, ...]]) -> str:
    behind = _behind(row, linked)
    keys = "".join(f"<td>{_key(row, name, behind['mean'])}</td>" for name in FILTERS)
    data = " ".join(f'data-{name.replace("_", "-")}="{text(row[name])}"' for name in FILTERS)
    mean = f"{row['mean']:.2f}" + ("" if pd.isna(row["std"]) else f' <span class="faint">± {row["std"]:.2f}</span>')
    mean = f"<strong>{mean}</strong>" if best else mean
    published = "" if pd.isna(row["published_mean"]) else f"{row['published_mean']:.2f}"
    return (
        f'<tr {data}>{keys}<td class="number">{_link_to(behind["mean"], mean)}</td>'
        f'<td class="number">{_link_to(behind["runs"], str(row["runs"]))}</td>'
        f'<td class="number">{_link_to(behind["gain"], _gain(row)) if _has_gain(row) else _gain(row)}</td>'
        f'<td>{_interval(row, axis)}</td><td class="number">{published}</td></tr>'
    )


def _behind(row: dict[str, Any], linked: Collection[tuple[str, ...]]) -> dict[str, str]:
    """Addresses of what lies behind a row's numbers; empty where nothing does.

    Behind a category's mean are its test images, the wrong ones first; behind its gain the same images, those first
    whose verdict the training set changed; behind its runs their shots. Behind an average are its categories' rows.
    """
    place = {name: row[name] for name in ("scenario", "training_set", "detector")}
    if (row["dataset"], row["category"]) in linked:
        page = href(row["dataset"], row["category"], "index.html")
        seen = {"label": "1"} if row["metric"].startswith(("pixel_", "au")) else {}  # only defects have masks
        return {
            "mean": page + fragment("tests", **place, **seen, order="wrong_first"),
            "gain": page + fragment("tests", **place, **seen, order="changed_first"),
            "runs": page + fragment("shots", scenario=row["scenario"]),
        }
    if not row["category"].startswith("average") or not linked:
        return dict.fromkeys(("mean", "gain", "runs"), "")
    one = {"dataset": row["dataset"]} if row["dataset"] in {dataset for dataset, _ in linked} else {}
    return dict.fromkeys(("mean", "gain", "runs"), fragment(**one, category="", **place, metric=row["metric"]))


def _link_to(address: str, shown: str) -> str:
    return _link(address, shown) if address else shown


def _key(row: dict[str, Any], column: str, images: str) -> str:
    value = row[column]
    if column == "category":
        return _link_to(images, text(value))
    return text(SCENARIOS.get(value, value) if column == "scenario" else value)


def _has_gain(row: dict[str, Any]) -> bool:
    return not pd.isna(row["gain"]) and row["training_set"] != BASELINE


def _gain(row: dict[str, Any]) -> str:
    if not _has_gain(row):
        return '<span class="faint">–</span>'
    bounds = f' <span class="faint">[{row["gain_low"]:+.2f}, {row["gain_high"]:+.2f}]</span>'
    return f"{row['gain']:+.2f}" + ("" if pd.isna(row["gain_low"]) else bounds)


def _interval(row: dict[str, Any], axis: Axis) -> str:
    """A gain and its interval as a small drawing with a zero line; the numbers stand beside it."""
    values = [row["gain_low"], row["gain"], row["gain_high"]]
    if any(pd.isna(value) for value in values) or row["training_set"] == BASELINE:
        return ""
    low, gain, high, zero = (_position(value, axis) for value in (*values, 0.0))
    beyond = " left" * (row["gain"] < axis[0]) + " right" * (row["gain"] > axis[1])
    sign = "up" if row["gain_low"] > 0 else "down" if row["gain_high"] < 0 else "even"
    return (
        f'<span class="interval {sign}" aria-hidden="true"><i class="zero" style="left:{zero}%"></i>'
        f'<i class="bar" style="left:{low}%;width:{round(high - low, 2)}%"></i>'
        f'<i class="dot{beyond}" style="left:{gain}%"></i></span>'
    )


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
        sheets: labels and JPEG files, shown folded.
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
        f'<img src="{_card_picture(picture)}" alt="" width="112" height="112">'
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
        picture = (
            f'<figure><img alt="Contact sheet of {text(label)}" src="{_address(Path(sheet).read_bytes())}"></figure>'
        )
        blocks.append(f"<details><summary>{text(label)}</summary>{picture}</details>")
    return "<section>\n" + "\n".join(blocks) + "\n</section>"


def _card_picture(path: str | Path) -> str:
    """The upper left square of a picture, where a figure begins: all of it would be too small to see."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    side = min(picture.size)
    picture = picture.crop((0, 0, side, side)).resize((CARD_WIDTH, CARD_WIDTH), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=CARD_QUALITY)
    return _address(stream.getvalue())


def _address(jpeg: bytes) -> str:
    """The address of a JPEG that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
