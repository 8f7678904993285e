"""The summary for reading: AUROC of each training set side by side, as Markdown or plain text.

``python -m variad.report.summary results/tables/summary.csv`` prints what helped, in sentences, and the table of the
study's first detector, under the caption of the ``summary.md`` beside it; ``--all`` prints every table.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from tabulate import tabulate

from variad.core.checksums import check
from variad.core.errors import UserError
from variad.core.files import write_text
from variad.core.tables import markdown_page, markdown_table, read_table
from variad.evaluation.aggregation import METRICS, is_average

LEGEND = "Percent: mean ± standard deviation over runs (gain over `original` in points [95 % bootstrap interval])."
OF_PUBLISHED = " Published values are the first document's, not ours."


def wide_table(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A row per data set, category, detector and scenario, a column per training set, cells as text.

    Args:
        frame: schema ``summary``.
    """
    keys = ["dataset", "category", "detector", "scenario"]
    chosen = frame[frame["metric"] == metric]
    training_sets = list(dict.fromkeys(frame["training_set"]))
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for row in chosen.to_dict("records"):
        rows.setdefault(tuple(str(row[key]) for key in keys), {})[str(row["training_set"])] = cell_text(row)
    table = [{**dict(zip(keys, key, strict=True)), **cells} for key, cells in rows.items()]
    return pd.DataFrame(table, columns=keys + training_sets).fillna("")


def cell_text(row: Mapping[Any, Any]) -> str:
    """``mean ± std (gain [low, high])``; parts that do not exist are left out.

    Args:
        row: one row of schema ``summary``.
    """
    names = ("mean", "std", "gain", "gain_low", "gain_high", "published_mean")
    known = {name: float(str(row[name])) for name in names if not pd.isna(row[name])}
    notes = []
    if "gain" in known:
        bounds = " [{gain_low:+.1f}, {gain_high:+.1f}]".format(**known) if "gain_low" in known else ""
        notes.append(f"{known['gain']:+.1f}{bounds}")
    if "published_mean" in known:
        notes.append(f"published {known['published_mean']:.1f}")
    spread = f" ± {known['std']:.1f}" if "std" in known else ""
    return f"{known['mean']:.1f}{spread}" + (f" ({'; '.join(notes)})" if notes else "")


def summary_page(frame: pd.DataFrame, caption: str, remarks: Mapping[str, Sequence[str]] = MappingProxyType({})) -> str:
    """The summary as Markdown.

    Args:
        caption: on what scale the study ran.
        remarks: by the name of a category, what to know of the images that its figures rest on.
    """
    parts = [_legend(frame)]
    for metric, title, table in _tables(frame):
        heads = list(table.columns)
        parts += [f"## {title}", markdown_table(heads, table.to_numpy().tolist(), left=len(heads))]
        if metric == "pixel_auroc":
            parts.append("Intervals of pixel AUROC come from histograms of map values.")
    said = [f"- {name}: {remark}" for name, lines in remarks.items() for remark in lines]
    parts += ["## The images behind it", "\n".join(said)] if said else []
    return markdown_page("Summary", caption, *parts)


def to_text(frame: pd.DataFrame, caption: str, width: int | None = None, everything: bool = True) -> str:
    """The summary as plain text; columns fold into blocks of at most ``width`` characters (the terminal's).

    Args:
        everything: all detectors and metrics, or what helped, and image AUROC with the study's first detector.
    """
    limit = width or shutil.get_terminal_size((160, 24)).columns
    shown, told = frame, [_legend(frame).replace("`", "")]
    if not everything:
        shown = frame[(frame["detector"] == frame["detector"].iloc[0]) & (frame["metric"] == "image_auroc")]
        told = [*told, "\n".join(answer(frame)).replace("`", "")]
    parts = [caption, told[0]] if everything else [caption]
    for _, title, table in _tables(shown):
        parts += [title if everything else f"{title}. {told[0]}", *_text_blocks(table, limit)]
    parts += told[1:]
    return "\n\n".join(part for part in parts if part) + "\n"


def answer(frame: pd.DataFrame) -> list[str]:
    """What helped the study's first detector, by how much, and how certain that is, in sentences.

    Counted are gains of image AUROC over ``original``, by category and scenario; certain is one whose whole interval
    lies above 0.
    """
    detector = str(frame["detector"].iloc[0])
    gains = frame[(frame["detector"] == detector) & (frame["metric"] == "image_auroc") & frame["gain"].notna()]
    gains = gains[~gains["category"].map(is_average)]
    if gains.empty:
        return ["There is nothing to compare: the study has one training set."]
    means = gains.groupby("training_set", sort=False)["gain"].mean().sort_values(ascending=False, kind="stable")
    best = gains[gains["training_set"] == means.index[0]]
    top = best.loc[best["gain"].idxmax()]
    where = f"{top['dataset']}/{top['category']}, {top['scenario']}"
    interval = f" [{top['gain_low']:+.1f}, {top['gain_high']:+.1f}]" if pd.notna(top["gain_low"]) else ""
    most = f"at most {top['gain']:+.1f}{interval} ({where}: {top['mean'] - top['gain']:.1f} to {top['mean']:.1f})"
    helped = f"`{means.index[0]}` helped most" if means.iloc[0] > 0 else "Nothing helped on average; best was"
    named = helped if means.iloc[0] > 0 else f"{helped} `{means.index[0]}`"
    counts = {
        name: (int((rows["gain_low"] > 0).sum()), len(rows)) for name, rows in gains.groupby("training_set", sort=False)
    }
    sure = [f"`{name}` in {counts[name][0]} of {counts[name][1]}" for name in means.index if counts[name][0]]
    never = [f"`{name}`" for name in means.index if not counts[name][0]]
    none = f"; {', '.join(never)} in none" if sure and never else ""
    return [
        f"{named}: {means.iloc[0]:+.1f} points of image AUROC on average with {detector}, {most}.",
        f"Certain, as the 95 % interval lies above 0: {', '.join(sure) or 'nothing'}"
        + (f" categories and scenarios{none}." if sure else "."),
    ]


def write_markdown(path: str | Path, frame: pd.DataFrame, caption: str, remarks: Mapping[str, Sequence[str]]) -> None:
    """Write ``summary_page`` to a file."""
    write_text(path, summary_page(frame, caption, remarks))


def read_caption(path: Path) -> str:
    """The caption of a file that ``write_markdown`` wrote; empty if there is no such file."""
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return "\n".join(line.removeprefix("> ") for line in lines if line.startswith("> "))


def main(arguments: Sequence[str]) -> int:
    """Print the summary of the table named by the argument; ``--all`` prints all of it."""
    paths = [Path(argument) for argument in arguments if argument != "--all"]
    if len(paths) != 1:
        print("usage: python -m variad.report.summary results/tables/summary.csv [--all]", file=sys.stderr)
        return 2
    try:
        check([paths[0], paths[0].with_suffix(".md")], None)
        print(short_text(paths[0], "--all" in arguments), end="")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def short_text(path: Path, everything: bool = False) -> str:
    """What a person wants to know of a table of schema ``summary``, for a terminal."""
    return to_text(read_table(path, "summary"), read_caption(path.with_suffix(".md")), everything=everything)


def _legend(frame: pd.DataFrame) -> str:
    return LEGEND + (OF_PUBLISHED if frame["published_mean"].notna().any() else "")


def _tables(frame: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    found = set(frame["metric"])
    return [(metric, title, wide_table(frame, metric)) for metric, title in METRICS.items() if metric in found]


def _text_blocks(table: pd.DataFrame, width: int) -> list[str]:
    keys = list(table.columns[:4])
    blocks = [keys]
    for column in table.columns[4:]:
        wider = [*blocks[-1], column]
        too_wide = len(_text_lines(table[wider])[1]) > width
        blocks = [*blocks, [*keys, column]] if too_wide and blocks[-1] != keys else [*blocks[:-1], wider]
    return ["\n".join(_text_lines(table[columns])) for columns in blocks]


def _text_lines(table: pd.DataFrame) -> list[str]:
    """The heads, a rule under them as long as the table is wide, and the rows."""
    rows = [list(table.columns), *table.to_numpy().tolist()]
    rule, heads, *lines, _ = tabulate(rows, tablefmt="simple", disable_numparse=True).splitlines()
    return [heads, rule, *lines]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
