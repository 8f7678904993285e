"""What the document's tables leave out: image AUROC by type of anomaly, AU-sPRO and AUPRO, from a summary."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from variad.core.tables import markdown_page, markdown_table
from variad.evaluation.cells import CELL_KEY
from variad.evaluation.pixel import FPR_LIMIT, FPR_LIMITS
from variad.paper.forms import MARKDOWN

COLUMNS = [*CELL_KEY, "measure", "anomalies", "fpr_limit", "mean", "std", "runs", "gain"]
NAN = float("nan")

Meaning = tuple[str, str, float]  # measure, anomalies, limit of the false positive rate

# what each metric of a summary is
BY_TYPE: dict[str, Meaning] = {
    "image_auroc": ("image_auroc", "all", NAN),
    "image_auroc_logical": ("image_auroc", "logical", NAN),
    "image_auroc_structural": ("image_auroc", "structural", NAN),
    "image_auroc_type_mean": ("image_auroc", "mean_of_types", NAN),
} | {
    f"au_spro_{limit}{ending}": ("au_spro", anomalies, limit)
    for limit in FPR_LIMITS
    for ending, anomalies in (("_logical", "logical"), ("_structural", "structural"), ("", "mean_of_types"))
}
AUPRO: dict[str, Meaning] = {"aupro": ("aupro", "all", FPR_LIMIT)}
_KINDS = {"all": "all", "logical": "logical", "structural": "structural", "mean_of_types": "mean of both"}
_NONE = "This study has no such data set."


def by_type(summary: pd.DataFrame) -> pd.DataFrame:
    """Schema ``overlap_summary``: image AUROC and AU-sPRO of the data sets whose anomalies are logical and structural.

    Args:
        summary: schema ``summary``.
    """
    typed = set(summary[summary["metric"] == "image_auroc_type_mean"]["dataset"])
    return _chosen(summary[summary["dataset"].isin(typed)], BY_TYPE)


def per_region(summary: pd.DataFrame) -> pd.DataFrame:
    """Schema ``overlap_summary``: AUPRO of every data set with masks."""
    return _chosen(summary, AUPRO)


def _chosen(summary: pd.DataFrame, meanings: dict[str, Meaning]) -> pd.DataFrame:
    """The rows of some metrics, cell by cell in the summary's order."""
    order = list(meanings)
    chosen = summary[summary["metric"].isin(order)]
    rows = [
        {**row, **dict(zip(("measure", "anomalies", "fpr_limit"), meanings[row["metric"]], strict=True))}
        for _, cell in chosen.groupby(CELL_KEY, sort=False)
        for row in sorted(cell.to_dict("records"), key=lambda row: order.index(row["metric"]))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def by_type_page(table: pd.DataFrame, caption: str) -> str:
    """A section a detector and scenario, a row a category and training set, a column a measure.

    Args:
        table: as ``by_type`` gives it; AU-sPRO is shown as the mean of both types.
        caption: says on what scale the study ran.
    """
    legend = (
        "Percent; mean (± standard deviation over runs). Image AUROC over all test images, over good images and those "
        "with logical or structural anomalies apart, and the mean of these two. AU-sPRO: area under the saturated "
        "per-region overlap up to a false positive rate, divided by it; mean of both types. The CSV has each type."
    )
    shown = [meaning for meaning in BY_TYPE.values() if meaning[0] == "image_auroc" or meaning[1] == "mean_of_types"]
    heads = ["category", "training set", *[_heading(*meaning) for meaning in shown]]
    parts = [legend]
    for title, section in _sections(table):
        cells = _values(section, ("category", "training_set", "measure", "anomalies", "fpr_limit"))
        names = dict.fromkeys((str(row["category"]), str(row["training_set"])) for row in section)
        rows = [[*name, *[cells.get((*name, *map(str, meaning)), "–") for meaning in shown]] for name in names]
        parts += [f"## {title}", markdown_table(heads, rows, left=2)]
    return markdown_page("Logical and structural anomalies", caption, *(parts if len(table) else [legend, _NONE]))


def per_region_page(table: pd.DataFrame, caption: str) -> str:
    """A section a detector and scenario, a row a category, a column a training set.

    Args:
        table: as ``per_region`` gives it.
    """
    legend = (
        "Percent; mean (± standard deviation over runs). AUPRO: area under the mean overlap with each connected region "
        f"of the ground truth up to a false positive rate of {FPR_LIMIT:g}, divided by it."
    )
    parts = [legend]
    for title, section in _sections(table):
        cells = _values(section, ("category", "training_set"))
        categories, sets = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
        rows = [[category, *[cells.get((category, name), "–") for name in sets]] for category in categories]
        parts += [f"## {title}", markdown_table(["category", *sets], rows, left=1)]
    return markdown_page("Per-region overlap", caption, *(parts if len(table) else [legend, _NONE]))


def _sections(table: pd.DataFrame) -> list[tuple[str, list[dict[Any, Any]]]]:
    names = ["dataset", "detector", "scenario"]
    return [(", ".join(map(str, key)), group.to_dict("records")) for key, group in table.groupby(names, sort=False)]


def _heading(measure: str, anomalies: str, limit: float) -> str:
    return f"image AUROC, {_KINDS[anomalies]}" if math.isnan(limit) else f"AU-sPRO, FPR ≤ {limit:g}"


def _values(rows: Sequence[Mapping[Any, Any]], names: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Mean and spread of each row as text, by its values of ``names``."""
    return {tuple(str(row[name]) for name in names): MARKDOWN.number(row["mean"], row["std"]) for row in rows}
