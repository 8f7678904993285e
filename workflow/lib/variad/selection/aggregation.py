"""From categories to the study: averages over a data set and over its groups, and the tables to be read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.files import writing
from variad.paper.markdown_parts import markdown_page, markdown_table
from variad.selection.judgement import tau_interval

Array = NDArray[Any]

KEY = ["dataset", "category", "benchmark", "source"]
MEANS = ["selected", "oracle", "average", "default", "regret", "best_picked", "tau", "half_split_tau"]
PERCENT = ["selected", "oracle", "average", "default", "regret"]
COLUMNS = [*KEY, "runs", "candidates", *MEANS[:-1], "tau_low", "tau_high", "half_split_tau"]
HEADS = ("source", *PERCENT, "τ", "best")
DECIMALS = 4
MANY_CATEGORIES = 15
LEGEND = (
    "Percent and points: real AUROC of the candidate that a source chose (`selected`), of the best candidate of each "
    "run (`oracle`), of all on average and of the fixed `default`; `regret` is the oracle less the selected. τ is "
    "Kendall's τ-b between synthetic and real AUROC over candidates, mean over runs [interval of about 95 % over "
    "images; in simulations 84 to 99 % where the half-split τ is 0.45 or more, less below]; the half-split τ of the "
    "real AUROC bounds it: what one half of the test images says about the other. `best`: how often the best "
    "candidate was picked."
)
CONTROLS = (
    "`random`, `largest_backbone` and `default` use no anomalies. `reconstruction` takes regenerated normal images for "
    "anomalies: what the generator's own traces would choose."
)


def selection_summary(
    judged: pd.DataFrame, draws: Array, kind: str, groups: Mapping[str, Mapping[str, str]] | None = None
) -> pd.DataFrame:
    """Table ``selection_summary`` of one kind: categories as they come, after those of each data set their averages.

    Args:
        judged: schema ``judged``, of all categories.
        draws: of tau, ``[rows of judged, D]``.
        kind: ``detector`` or ``prompt``.
        groups: for a data set, the group (say ``object``) of each category.
    """
    chosen = np.flatnonzero(judged["kind"] == kind)
    table, drawn = judged.iloc[chosen].reset_index(drop=True), draws[chosen]
    parts = []
    for dataset in dict.fromkeys(table["dataset"]):
        rows = table[table["dataset"] == dataset]
        parts.append(rows)
        categories = list(dict.fromkeys(rows["category"]))
        parts += [
            _average(rows[rows["category"].isin(members)], drawn, name)
            for name, members in _sets(categories, (groups or {}).get(dataset, {})).items()
        ]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return _rounded(whole[COLUMNS])


def selection_page(summary: pd.DataFrame, title: str, caption: str) -> str:
    """A table for each data set, category and benchmark, a row a source; many categories are left to the CSV."""
    parts = [LEGEND, CONTROLS]
    for (dataset, category, benchmark), rows in summary.groupby(KEY[:3], sort=False):
        categories = set(summary.loc[summary["dataset"] == dataset, "category"])
        if len(categories) > MANY_CATEGORIES and not str(category).startswith("average"):
            continue
        first = rows.iloc[0]
        parts.append(f"## {dataset}, {category}: {str(benchmark).replace('_', ' ')}")
        bound = _number(first["half_split_tau"], 2)
        parts.append(f"{first['candidates']} candidates, {first['runs']} runs, half-split τ {bound}.")
        parts.append(markdown_table(HEADS, [_cells(row) for row in rows.to_dict("records")], left=len(HEADS)))
    return markdown_page(title, caption, *parts)


def write_markdown(path: str | Path, text: str) -> None:
    """Write a text file."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _sets(categories: Sequence[str], group_of: Mapping[str, str]) -> dict[str, list[str]]:
    sets = {"average": list(categories)} if len(categories) > 1 else {}
    for name in dict.fromkeys(group_of[category] for category in categories if category in group_of):
        members = [category for category in categories if group_of.get(category) == name]
        if len(members) > 1:
            sets[f"average_{name}"] = members
    return sets


def _average(rows: pd.DataFrame, draws: Array, name: str) -> pd.DataFrame:
    found = []
    count = rows["category"].nunique()
    for (benchmark, source), members in rows.groupby(["benchmark", "source"], sort=False):
        if len(members) < count:
            continue  # averages of different categories could not be compared
        means = members[MEANS].mean()
        over_categories = draws[members.index]
        known = over_categories[np.isfinite(over_categories).all(axis=1)]
        mean_draws = known.mean(axis=0) if len(known) == len(members) else np.zeros(0)
        low, high = tau_interval(float(members["tau"].mean(skipna=False)), mean_draws)
        found.append(
            {
                "dataset": members["dataset"].iloc[0],
                "category": name,
                "benchmark": benchmark,
                "source": source,
                "runs": int(members["runs"].min()),
                "candidates": int(members["candidates"].max()),
                **means,
                "tau_low": low,
                "tau_high": high,
            }
        )
    return pd.DataFrame(found)


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    numbers = {name: table[name].astype(float) * (100 if name in PERCENT else 1) for name in COLUMNS[6:]}
    # adding zero turns -0.0 into 0.0
    return table.assign(**{name: values.round(DECIMALS) + 0.0 for name, values in numbers.items()})


def _cells(row: Mapping[Any, Any]) -> list[str]:
    bounds = f" [{row['tau_low']:+.2f}, {row['tau_high']:+.2f}]" if pd.notna(row["tau_low"]) else ""
    tau = f"{row['tau']:+.2f}{bounds}" if pd.notna(row["tau"]) else ""
    numbers = [_number(row[name], 1) for name in PERCENT]
    return [f"`{row['source']}`", *numbers, tau, f"{100 * row['best_picked']:.0f} %"]


def _number(value: Any, digits: int) -> str:
    return f"{value:.{digits}f}" if pd.notna(value) else ""
