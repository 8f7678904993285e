"""The summary for reading: AUROC of each training set side by side, as Markdown or plain text.

``python -m variad.report.summary results/tables/summary.csv`` prints it, under the caption of the ``summary.md`` beside
it.
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
from variad.evaluation.aggregation import METRICS

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


def to_text(frame: pd.DataFrame, caption: str, width: int | None = None) -> str:
    """The summary as plain text; columns fold into blocks of at most ``width`` characters (the terminal's)."""
    limit = width or shutil.get_terminal_size((160, 24)).columns
    parts = [caption, _legend(frame).replace("`", "")]
    for _, title, table in _tables(frame):
        parts += [title, *_text_blocks(table, limit)]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_markdown(path: str | Path, frame: pd.DataFrame, caption: str, remarks: Mapping[str, Sequence[str]]) -> None:
    """Write ``summary_page`` to a file."""
    write_text(path, summary_page(frame, caption, remarks))


def read_caption(path: Path) -> str:
    """The caption of a file that ``write_markdown`` wrote; empty if there is no such file."""
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return "\n".join(line.removeprefix("> ") for line in lines if line.startswith("> "))


def main(arguments: Sequence[str]) -> int:
    """Print the summary of the table named by the one argument."""
    if len(arguments) != 1:
        print("usage: python -m variad.report.summary results/tables/summary.csv", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    try:
        check([path, path.with_suffix(".md")], None)
        print(to_text(read_table(path, "summary"), read_caption(path.with_suffix(".md"))), end="")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


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
