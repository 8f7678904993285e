"""The table of chosen recipes for reading, as Markdown."""

from typing import Any

import pandas as pd

from variad.paper.markdown_parts import markdown_page, markdown_table

LEGEND = (
    "Every source of synthetic anomalies chooses, in each run, the training set whose detector tells its anomalies "
    "from validation normals best; shots of the run, and anomalies made of them, are left out. Real image AUROC in "
    "percent, mean over runs: of the choice (`selected`), of the default recipe `{default}`, of the best recipe of "
    "each run (`oracle`) and of all recipes (`average`). `regret` is the oracle less the choice, `gain` the choice "
    "less the default [95 % paired bootstrap interval], both in points; `best` is how often the best recipe was "
    "picked, τ Kendall's τ-b between synthetic and real AUROC over recipes. Rows `default` and `random` use no "
    "anomalies."
)
HEADS = ("source", "chosen (runs)", "selected", "default", "oracle", "average", "regret", "gain", "best", "τ")


def recipe_page(table: pd.DataFrame, caption: str, default: str) -> str:
    """Table ``recipes`` as Markdown; ``caption`` says on what scale the study ran."""
    parts = [LEGEND.format(default=default)]
    for (dataset, category, detector, scenario), rows in table.groupby(
        ["dataset", "category", "detector", "scenario"], sort=False
    ):
        count = f"{rows['recipes'].iloc[0]} recipes, {rows['runs'].iloc[0]} runs."
        parts += [f"## {dataset}, {category}: {detector}, {str(scenario).replace('_', '-')}", count]
        parts.append(markdown_table(HEADS, [_cells(row) for row in rows.to_dict("records")], left=2))
    return markdown_page("Recipes chosen by synthetic anomalies", caption, *parts)


def _cells(row: dict[Any, Any]) -> list[str]:
    bounds = "" if pd.isna(row["gain_low"]) else f" [{row['gain_low']:+.1f}, {row['gain_high']:+.1f}]"
    gain = "" if row["source"] == "default" else f"{row['gain']:+.1f}{bounds}"
    numbers = [f"{row[name]:.1f}" for name in ("selected", "default", "oracle", "average", "regret")]
    tau = "" if pd.isna(row["tau"]) else f"{row['tau']:+.2f}"
    return [f"`{row['source']}`", str(row["chosen"]), *numbers, gain, f"{100 * row['best_picked']:.0f} %", tau]
