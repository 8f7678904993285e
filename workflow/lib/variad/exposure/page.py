"""The table of outlier exposure for reading, as Markdown."""

from typing import Any

import pandas as pd

from variad.exposure.names import FROZEN, PLAIN
from variad.paper.markdown_parts import markdown_page, markdown_table

LEGEND = (
    "Percent: mean ± standard deviation over runs of the image AUROC on the real test; differences in points [95 % "
    "bootstrap interval over runs and test images]. The score is the total Euclidean distance to the three closest "
    "support embeddings. Objectives on normals alone are the same fine-tuning without exposure: `rotation`, by how "
    "many quarters an image is turned, and `relabelled`, where half of the support set passes for anomalies."
)
HEADS = (
    "exposed to",
    "objective",
    "support set",
    "AUROC",
    "over frozen",
    "over {control}",
    "over the plain support set",
)


def exposure_page(table: pd.DataFrame, caption: str, network: str, control: str) -> str:
    """Table ``exposure`` as Markdown.

    Args:
        caption: on what scale the study ran.
        network: what was fine-tuned, in words.
        control: the objective that ``over_control`` is against.
    """
    parts = [f"Network: {network}.", LEGEND]
    heads = [head.format(control=control) for head in HEADS]
    for (dataset, category), rows in table.groupby(["dataset", "category"], sort=False):
        lines = [_cells(row) for row in rows.to_dict("records")]
        parts += [f"## {dataset}, {category}", markdown_table(heads, lines, left=3)]
    return markdown_page("Outlier exposure", caption, *parts)


def network_text(backbone: str, trained_blocks: int | None) -> str:
    """What was fine-tuned, with a word where it is not the document's."""
    blocks = {None: "all blocks", 1: "the last block"}.get(trained_blocks, f"the last {trained_blocks} blocks")
    is_transformer = "vit" in backbone
    standing_in = "" if is_transformer else " in place of a vision transformer, whose weights come in no package"
    return f"{backbone}{standing_in}, {blocks} fine-tuned"


def _cells(row: dict[Any, Any]) -> list[str]:
    spread = "" if pd.isna(row["std"]) else f" ± {row['std']:.1f}"
    names = [str(row["source"]), str(row["objective"]), "plain" if row["support"] == PLAIN else str(row["support"])]
    frozen = row["objective"] == FROZEN
    control = "" if frozen else _difference(row, "over_control")
    return [*names, f"{row['mean']:.1f}{spread}", _difference(row, "gain"), control, _difference(row, "over_support")]


def _difference(row: dict[Any, Any], name: str) -> str:
    if pd.isna(row[name]):
        return ""
    return f"{row[name]:+.1f} [{row[f'{name}_low']:+.1f}, {row[f'{name}_high']:+.1f}]"
