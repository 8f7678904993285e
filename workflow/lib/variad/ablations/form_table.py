"""Table 16: image quality and AUROC of the forms of the latent: mu, mu + sigma, mu + sigma * epsilon."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from variad.ablations.entries import BASELINE, training_sets_of
from variad.ablations.published import printed_form
from variad.ablations.values import DECIMALS, baseline_of, mean_of_categories, measured, percent_by_run
from variad.tables import read_table

NUMBER = 16
# our quality: its name among the published values
QUALITIES = {"ssim": "ssim", "psnr": "psnr_db", "vif": "vif", "lpips": "lpips"}
OF_ITSELF = {"ssim": 1.0, "psnr": np.nan, "vif": 1.0, "lpips": 0.0}  # an image compared with itself
BY_DEFINITION = "By definition: an image against itself."
MOVED = "Views were flipped or turned before encoding, which lowers SSIM, PSNR and VIF whatever the form."
ABSENT = "LPIPS absent: AlexNet's weights are not on this machine."


def form_table(
    entry: Mapping[str, Any],
    metrics: pd.DataFrame,
    qualities: Mapping[tuple[str, str], pd.DataFrame],
    moved: bool,
    published: pd.DataFrame,
) -> pd.DataFrame:
    """The table of schema ``ablation_table``: for the shots and every form AUROC, SSIM, PSNR, VIF and LPIPS.

    Args:
        entry: ``dataset``, ``categories``, ``scenario``, ``detector`` and ``training_sets`` by form.
        metrics: of all cells, schema ``metrics``.
        qualities: schema ``image_quality`` by (category, training set).
        moved: whether the views of a form are anything but the shot as it lies.
        published: schema ``published_ablations``.
    """
    forms = {"original": BASELINE, **entry["training_sets"]}
    rows = []
    for form, training_set in forms.items():
        rows.append(_auroc_row(entry, form, training_set, metrics, published))
        for quality in QUALITIES:
            tables = [qualities[category, training_set] for category in entry["categories"] if form != "original"]
            rows.append(_quality_row(entry, (form, training_set), quality, tables, moved, published))
    return pd.DataFrame(rows)


def by_category_and_form(entry: Mapping[str, Any], values: Sequence[Any]) -> dict[tuple[str, str], Any]:
    """Values that come category by category, form by form, under (category, training set)."""
    return dict(zip(product(entry["categories"], training_sets_of(entry)), values, strict=True))


def qualities_of(entry: Mapping[str, Any], paths: Sequence[str]) -> dict[tuple[str, str], pd.DataFrame]:
    """Tables of schema ``image_quality`` by (category, training set)."""
    return by_category_and_form(entry, [read_table(path, "image_quality") for path in paths])


def quality_by_run(tables: Sequence[pd.DataFrame], quality: str) -> "pd.Series[float]":
    """Mean over the accepted images of a run, then over categories; a PSNR of equal images does not count."""
    finite = [table[table["accepted"]].replace(np.inf, np.nan) for table in tables]
    return mean_of_categories([table.groupby("run")[quality].mean().dropna() for table in finite])


def _auroc_row(
    entry: Mapping[str, Any], form: str, training_set: str, metrics: pd.DataFrame, published: pd.DataFrame
) -> dict[str, Any]:
    place = {name: entry[name] for name in ("dataset", "detector", "scenario")}
    cells = [{**place, "category": category, "training_set": training_set} for category in entry["categories"]]
    values = mean_of_categories([percent_by_run(metrics, cell) for cell in cells])
    baseline = mean_of_categories([percent_by_run(metrics, baseline_of(cell)) for cell in cells])
    ours = measured(values, None if form == "original" else baseline)
    number = len(entry["categories"])
    over = f"{number} categories" if number > 1 else entry["categories"][0]
    note = f"Ours: {over}, {entry['detector']}, {entry['scenario']}; the document does not say what it averages over."
    return _row(entry, (form, training_set), "image_auroc", ours, "average_auroc_percent", published, note)


def _quality_row(
    entry: Mapping[str, Any],
    of: tuple[str, str],
    quality: str,
    tables: Sequence[pd.DataFrame],
    moved: bool,
    published: pd.DataFrame,
) -> dict[str, Any]:
    if of[0] == "original":
        itself = {**measured(pd.Series([OF_ITSELF[quality]]).dropna(), None), "runs": 0}
        return _row(entry, of, quality, itself, QUALITIES[quality], published, BY_DEFINITION)
    values = quality_by_run(tables, quality)
    note = ("" if len(values) else ABSENT) if quality == "lpips" else MOVED * moved
    return _row(entry, of, quality, measured(values, None), QUALITIES[quality], published, note)


def _row(
    entry: Mapping[str, Any],
    of: tuple[str, str],
    metric: str,
    ours: Mapping[str, Any],
    name: str,
    published: pd.DataFrame,
    note: str,
) -> dict[str, Any]:
    form, training_set = of
    several = len(entry["categories"]) > 1
    printed = printed_form(published, entry["dataset"], name, form)
    return {
        "table": NUMBER,
        "row": form,
        "column": metric,
        "dataset": entry["dataset"],
        "category": "average" if several else entry["categories"][0],
        "detector": entry["detector"] if metric == "image_auroc" else "",
        "scenario": entry["scenario"],
        "training_set": training_set,
        "metric": metric,
        **ours,
        **printed.columns,
        "difference": round(ours["ours_mean"] - printed.mean, DECIMALS) + 0.0,
        "footnote": " ".join(part for part in (printed.note, note) if part),
    }
