"""What the document's tables leave out: image AUROC by type of anomaly, AU-sPRO and AUPRO, from a summary."""

import pandas as pd

from variad.metrics.pixel import FPR_LIMIT
from variad.metrics.spro import FPR_LIMITS

CELL = ["dataset", "category", "detector", "scenario", "training_set"]
COLUMNS = [*CELL, "measure", "anomalies", "fpr_limit", "mean", "std", "runs", "gain"]
NAN = float("nan")

Meaning = tuple[str, str, float]  # measure, anomalies, limit of the false positive rate


def _by_type() -> dict[str, Meaning]:
    found: dict[str, Meaning] = {
        "image_auroc": ("image_auroc", "all", NAN),
        "image_auroc_logical": ("image_auroc", "logical", NAN),
        "image_auroc_structural": ("image_auroc", "structural", NAN),
        "image_auroc_type_mean": ("image_auroc", "mean_of_types", NAN),
    }
    for limit in FPR_LIMITS:
        found[f"au_spro_{limit}_logical"] = ("au_spro", "logical", limit)
        found[f"au_spro_{limit}_structural"] = ("au_spro", "structural", limit)
        found[f"au_spro_{limit}"] = ("au_spro", "mean_of_types", limit)
    return found


# what each metric of a summary is
BY_TYPE = _by_type()
AUPRO: dict[str, Meaning] = {"aupro": ("aupro", "all", FPR_LIMIT)}


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
    order = list(meanings)
    rows = summary[summary["metric"].isin(order)].to_dict("records")
    cells: dict[tuple[str, ...], int] = {}
    for row in rows:
        cells.setdefault(tuple(row[name] for name in CELL), len(cells))
    rows.sort(key=lambda row: (cells[tuple(row[name] for name in CELL)], order.index(row["metric"])))
    table = [
        {**row, **dict(zip(("measure", "anomalies", "fpr_limit"), meanings[row["metric"]], strict=True))}
        for row in rows
    ]
    return pd.DataFrame(table, columns=COLUMNS)
