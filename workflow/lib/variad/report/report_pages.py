"""What Snakemake's report shows beside figures and sheets: its first words, and pages with tables to read."""

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from variad.core.files import write_text
from variad.evaluation.aggregation import BASELINE, SCENARIOS, is_average
from variad.report.markup import ASSETS, fragment, href, text
from variad.report.pages import to_html
from variad.report.summary import answer

METRIC = "image_auroc"
PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title – Variad</title>
<style>
$style
main figure { margin: .8rem 0; }
main figure img { display: block; background: #ffffff; border: 1px solid var(--line); }
main figure img { width: auto; height: auto; aspect-ratio: auto; max-width: 100%; }
main .scroll { margin: .6rem 0 1rem; }
main > p { max-width: 75ch; }
</style>
</head>
<body>
<header class="top"><h1>$title</h1></header>
<main>
$body
</main>
</body>
</html>
""")


def write_home(target: str | Path, summary: pd.DataFrame, gallery: str) -> None:
    """Write the report's first words, HTML without a head: what helped, and the first detector's numbers.

    A click on a number opens the images behind it, the wrong ones first.

    Args:
        summary: table ``summary``.
        gallery: the first page of the gallery as the report knows it, by its path.
    """
    detector = str(summary["detector"].iloc[0])
    rows = summary[(summary["detector"] == detector) & (summary["metric"] == METRIC)]
    said = "\n".join(f"<p>{in_code(sentence)}</p>" for sentence in answer(summary))
    about = (
        f"Image AUROC with {text(detector)} in percent, mean over runs, and the gain over <code>{BASELINE}</code>, the "
        "shots alone, in points; bold where the whole 95 % interval of the gain lies above 0. Click a number for the "
        "images behind it, the wrong ones first, and an image for its anomaly map."
    )
    write_text(target, f'<div class="variad-home">\n{said}\n{_numbers(rows, gallery)}\n<p>{about}</p>\n</div>\n')


def in_code(sentence: str) -> str:
    """A sentence as HTML, what stands between backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", text(sentence))


def _numbers(rows: pd.DataFrame, gallery: str) -> str:
    sets = list(dict.fromkeys(rows["training_set"]))
    heads = "".join(f'<th scope="col">{text(name)}</th>' for name in sets)
    lines = []
    groups: Any = rows.groupby(["dataset", "category", "scenario"], sort=False)
    for (dataset, category, scenario), group in groups:
        cells: dict[Any, Any] = {row["training_set"]: row for row in group.to_dict("records")}
        numbers = "".join(f"<td>{_number(cells[name], gallery) if name in cells else ''}</td>" for name in sets)
        place = f"{dataset} / {category}, {SCENARIOS.get(scenario, scenario).lower()}"
        lines.append(f'<tr><th scope="row">{text(place)}</th>{numbers}</tr>')
    head = f'<thead><tr><th scope="col">images</th>{heads}</tr></thead>'
    return f'<div class="variad-table"><table>{head}<tbody>\n' + "\n".join(lines) + "\n</tbody></table></div>"


def _number(row: dict[str, Any], gallery: str) -> str:
    gain = "" if pd.isna(row["gain"]) or row["training_set"] == BASELINE else f" <small>{_signed(row['gain'])}</small>"
    shown = f"{row['mean']:.1f}{gain}"
    if row["gain_low"] > 0:
        shown = f"<strong>{shown}</strong>"
    if is_average(row["category"]):
        return shown
    place = {name: row[name] for name in ("scenario", "training_set", "detector")}
    address = href(row["dataset"], row["category"], "index.html") + fragment("tests", **place, order="wrong_first")
    return f'<a href="#" onclick="{text(_opening(gallery, address))}">{shown}</a>'


def _signed(gain: float) -> str:
    return f"{round(gain, 1) + 0.0:+.1f}".replace("-", "−")  # adding zero turns -0.0 into 0.0


def _opening(gallery: str, address: str) -> str:
    """A script that shows a page of the gallery in the report, beside its menu."""
    page = f"results[{json.dumps(gallery)}].data_uri.replace(/index\\.html$/, {json.dumps(address.removeprefix('./'))})"
    return f"app.setView({{content: 'html', contentPath: {page}}}); return false"


def write_result_page(target: str | Path, summary: pd.DataFrame, tables: str, figures: Sequence[str | Path]) -> None:
    """Write a page with what helped, the figures, and all tables.

    Args:
        tables: Markdown, whose first heading is left out.
        figures: SVG files.
    """
    parts = [f"<p>{in_code(sentence)}</p>" for sentence in answer(summary)]
    for path in map(Path, figures):
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        parts.append(
            f'<figure><img alt="{text(path.stem.replace("_", " "))}" src="data:image/svg+xml;base64,{data}"></figure>'
        )
    write_page(target, "What helped", *parts, to_html(_without_heading(tables)))


def write_cost_page(target: str | Path, tables: str) -> None:
    """Write a page with what the study took, from Markdown whose first heading is left out."""
    write_page(target, "What the study took", to_html(_without_heading(tables)))


def write_page(target: str | Path, title: str, *body: str) -> None:
    """Write a page that needs nothing beside it; ``body`` is HTML."""
    style = (ASSETS / "gallery.css").read_text("utf-8")
    write_text(target, PAGE.substitute(title=text(title), style=style, body="\n".join(body)))


def _without_heading(markdown: str) -> str:
    return re.sub(r"\A# .*\n", "", markdown)
