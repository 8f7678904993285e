"""Tables 17 and 18: image AUROC of one category with one detector, a row a component of the method."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from variad.core.tables import read_table
from variad.paper.ablation_entries import BASELINE, training_sets_of
from variad.paper.ablation_values import (
    DECIMALS,
    NONE,
    baseline_of,
    mean_of_categories,
    measured,
    percent_by_run,
    printed_component,
    printed_form,
    printed_prompt,
)

TITLES = {
    17: "Table 17: encoders, and strategies of augmentation before generating, image AUROC",
    18: "Table 18: strategies of augmentation against the method, image AUROC",
}
TWO_FORMS = (
    "The document applies strategies 'when generating' (A.5.2) and lists them as augmentation: both forms stand beside "
    "its one value."
)


def component_table(
    number: int, entry: Mapping[str, Any], metrics: pd.DataFrame, published: pd.DataFrame
) -> pd.DataFrame:
    """The table of schema ``ablation_table``: per row the cells of the entry, in its order.

    Args:
        number: of the document's table, 17 or 18.
        entry: of the config, ``scenario``, ``cells`` and ``training_sets`` (a list for each component).
        metrics: of all cells, schema ``metrics``.
        published: schema ``published_ablations``.
    """
    columns = {_column(place, entry["cells"]): place for place in entry["cells"]}
    rows = [("baseline", BASELINE, False)]
    for component, names in entry["training_sets"].items():
        rows += [(component, name, len(names) > 1) for name in names]
    table = [
        _component_row(number, {**place, "scenario": entry["scenario"]}, column, line, metrics, published)
        for line in rows
        for column, place in columns.items()
    ]
    return pd.DataFrame(table)


def _column(place: Mapping[str, str], places: Sequence[Mapping[str, str]]) -> str:
    """The category, with all that names the place where several have it."""
    alone = sum(other["category"] == place["category"] for other in places) == 1
    return place["category"] if alone else " / ".join(place[name] for name in ("dataset", "category", "detector"))


def _component_row(
    number: int,
    place: Mapping[str, str],
    column: str,
    line: tuple[str, str, bool],
    metrics: pd.DataFrame,
    published: pd.DataFrame,
) -> dict[str, Any]:
    component, training_set, shared = line
    cell = {**place, "training_set": training_set}
    values, baseline = (percent_by_run(metrics, key) for key in (cell, baseline_of(cell)))
    printed = printed_component(published, number, cell, component)
    ours = measured(values, None if training_set == BASELINE else baseline)
    notes = [printed.note, TWO_FORMS if shared and printed != NONE else ""]
    return {
        "table": number,
        "row": component,
        "column": column,
        **cell,
        "metric": "image_auroc",
        **ours,
        **printed.columns,
        "difference": round(ours["ours_mean"] - printed.mean, DECIMALS) + 0.0,
        "footnote": " ".join(note for note in notes if note),
    }


# Table 16: image quality and AUROC of the forms of the latent: mu, mu + sigma, mu + sigma * epsilon.

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
    return _form_row(entry, (form, training_set), "image_auroc", ours, "average_auroc_percent", published, note)


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
        return _form_row(entry, of, quality, itself, QUALITIES[quality], published, BY_DEFINITION)
    values = quality_by_run(tables, quality)
    note = ("" if len(values) else ABSENT) if quality == "lpips" else MOVED * moved
    return _form_row(entry, of, quality, measured(values, None), QUALITIES[quality], published, note)


def _form_row(
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


# Table 4: the prompts that match the shots best and worst, beside the document's.

CHOICES = ("best", "worst")


def prompt_table(
    dataset: str, scenario: str, choices: Mapping[str, Mapping[str, Any]], published: pd.DataFrame
) -> pd.DataFrame:
    """The table of schema ``ablation_prompts``: best and worst prompt of every category and run.

    Args:
        choices: by category, what ``variad.generation.prompts.write_choice`` wrote.
        published: schema ``published_ablations``.
    """
    rows = [
        _prompt_row(dataset, category, scenario, choice, run, which, published)
        for category, choice in choices.items()
        for run in choice["runs"]
        for which in CHOICES
    ]
    return pd.DataFrame(rows)


def prompt_rows(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Heads and cells for reading: the first run of each category, as the document shows one prompt."""
    heads = ["Category", "", "Prompt", "Cosine", "Published prompt"]
    first = table[table["run"] == table.groupby("category")["run"].transform("min")]
    cells = [
        [
            str(row["category"]) if row["choice"] == "best" else "",
            str(row["choice"]),
            str(row["prompt"]),
            f"{row['similarity']:.3f}",
            str(row["published_prompt"]) or "–",
        ]
        for row in first.to_dict("records")
    ]
    return heads, cells


def _prompt_row(
    dataset: str,
    category: str,
    scenario: str,
    choice: Mapping[str, Any],
    run: Mapping[str, Any],
    which: str,
    published: pd.DataFrame,
) -> dict[str, Any]:
    printed, note = printed_prompt(published, dataset, category, which)
    return {
        "dataset": dataset,
        "category": category,
        "class_name": choice["class_name"],
        "encoder": choice["encoder"],
        "word_source": choice["word_source"],
        "scenario": scenario,
        "run": run["run"],
        "choice": which,
        "prompt": run[which]["prompt"],
        "similarity": run[which]["similarity"],
        "published_prompt": printed,
        "footnote": note,
    }
