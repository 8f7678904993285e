"""The gallery's first page: the study's table and figure, and a card for every category."""

import base64
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from variad.evaluation.aggregation import BASELINE, SCENARIOS
from variad.report.gallery import ASSETS, fill, href, text

Axis = tuple[float, float]  # lowest and highest gain that the small drawings of the table rows have room for

FILTERS = ("dataset", "category", "detector", "scenario", "training_set", "metric")


def build_overview(target: str | Path, pages: list[Path], summary: pd.DataFrame, figure: str | Path) -> None:
    """Write ``index.html`` with everything inside it but the categories' pages.

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
        script=(ASSETS / "overview.js").read_text("utf-8"),
        cards="\n".join(_card(page) for page in pages),
        figure=base64.b64encode(Path(figure).read_bytes()).decode("ascii"),
        rows="\n".join(summary_rows(summary, {page.parts[-2:] for page in pages})),
        heads="".join(f'<th scope="col">{text(name.replace("_", " "))}</th>' for name in FILTERS),
    )


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


def _position(value: float, axis: Axis) -> float:
    """Where a gain lies on an axis, in per cent of its width."""
    return min(100.0, max(0.0, round(100 * (value - axis[0]) / (axis[1] - axis[0]), 2)))


def _card(page: Path) -> str:
    dataset, category = page.parts[-2:]
    card = json.loads((page / "card.json").read_text("utf-8"))
    picture = ""
    if card["shot"] is not None:
        address = href(dataset, category, "images", f"{card['shot']}.jpg")
        picture = f'<img src="{text(address)}" alt="" loading="lazy" width="112" height="112">'
    return (
        f'<li><a class="category" href="{text(href(dataset, category, "index.html"))}">{picture}'
        f"<span><strong>{text(category)}</strong><small>{text(dataset)}</small>"
        f"<small>{card['tested']} test images in {card['cells']} cells</small>"
        f"<small>{card['added']} added images, {card['accepted']} accepted</small></span></a></li>"
    )


def _row(row: dict[str, Any], best: bool, axis: Axis, linked: Collection[tuple[str, ...]]) -> str:
    keys = "".join(f"<td>{_key(row, name, linked)}</td>" for name in FILTERS)
    data = " ".join(f'data-{name.replace("_", "-")}="{text(row[name])}"' for name in FILTERS)
    mean = f"{row['mean']:.2f}" + ("" if pd.isna(row["std"]) else f' <span class="faint">± {row["std"]:.2f}</span>')
    mean = f"<strong>{mean}</strong>" if best else mean
    published = "" if pd.isna(row["published_mean"]) else f"{row['published_mean']:.2f}"
    return (
        f'<tr {data}>{keys}<td class="number">{mean}</td>'
        f'<td class="number">{row["runs"]}</td><td class="number">{_gain(row)}</td><td>{_interval(row, axis)}</td>'
        f'<td class="number">{published}</td></tr>'
    )


def _key(row: dict[str, Any], column: str, linked: Collection[tuple[str, ...]]) -> str:
    value = row[column]
    if column == "category" and (row["dataset"], value) in linked:
        return f'<a href="{text(href(row["dataset"], value, "index.html"))}">{text(value)}</a>'
    return text(SCENARIOS.get(value, value) if column == "scenario" else value)


def _gain(row: dict[str, Any]) -> str:
    if pd.isna(row["gain"]) or row["training_set"] == BASELINE:
        return '<span class="faint">–</span>'
    bounds = f' <span class="faint">[{row["gain_low"]:+.2f}, {row["gain_high"]:+.2f}]</span>'
    return f"{row['gain']:+.2f}" + ("" if pd.isna(row["gain_low"]) else bounds)


def _interval(row: dict[str, Any], axis: Axis) -> str:
    """A gain and its interval as a small drawing with a zero line; the numbers stand beside it."""
    values = [row["gain_low"], row["gain"], row["gain_high"]]
    if any(pd.isna(value) for value in values) or row["training_set"] == BASELINE:
        return ""
    low, gain, high, zero = (_position(value, axis) for value in (*values, 0.0))
    sign = "up" if row["gain_low"] > 0 else "down" if row["gain_high"] < 0 else "even"
    return (
        f'<span class="interval {sign}" aria-hidden="true"><i class="zero" style="left:{zero}%"></i>'
        f'<i class="bar" style="left:{low}%;width:{round(high - low, 2)}%"></i>'
        f'<i class="dot" style="left:{gain}%"></i></span>'
    )
