"""The document's ablations beside ours, as tables, and as pages in the manner of tables 5 to 15.

Tables 17 and 18: image AUROC of one category with one detector, a row a component of the method. Table 16: image
quality and AUROC of the forms of the latent, mu, mu + sigma and mu + sigma * epsilon. Table 4: the prompts that match
the shots best and worst.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from variad.core.tables import read_table
from variad.paper.ablation_entries import BASELINE, training_sets_of
from variad.paper.ablation_values import (
    NONE,
    ablation_row,
    baseline_of,
    mean_of_categories,
    measured,
    percent_by_run,
    printed_component,
    printed_form,
    printed_prompt,
)
from variad.paper.forms import VALUES, Page, Style, letters_of, write_pages

TITLES = {
    17: "Table 17: encoders, and strategies of augmentation before generating, image AUROC",
    18: "Table 18: strategies of augmentation against the method, image AUROC",
}
TWO_FORMS = (
    "The document applies strategies 'when generating' (A.5.2) and lists them as augmentation: both forms stand beside "
    "its one value."
)
# the columns of table 16, and their names among the published values
FORM_METRICS = {
    "image_auroc": "average_auroc_percent",
    "ssim": "ssim",
    "psnr": "psnr_db",
    "vif": "vif",
    "lpips": "lpips",
}
OF_ITSELF = {"ssim": 1.0, "psnr": np.nan, "vif": 1.0, "lpips": 0.0}  # an image compared with itself
BY_DEFINITION = "By definition: an image against itself."
MOVED = "Views were flipped or turned before encoding, which lowers SSIM, PSNR and VIF whatever the form."
ABSENT = "LPIPS absent: AlexNet's weights are not on this machine."
# the document's titles of rows and columns that are not called as ours
METRIC_TITLES = {"image_auroc": "AUROC (%)", "psnr": "PSNR (dB)"}
ROW_TITLES = {
    "baseline": "Baseline",
    "clip_vit_b_16": "ViT-B/16",
    "clip_rn50x64": "ResNet50x64",
    "strategies_1": "Strategies-1",
    "strategies_2": "Strategies-2",
    "autoaugment": "AutoAugmentation",
    "randaugment": "RandAugmentation",
    "generated": "Ours",
    "original": "Original",
    "mu_sigma": "mu + sigma",
    "mu_sigma_epsilon": "mu + sigma * epsilon",
}
LEGEND = (
    "Mean (± standard deviation over runs); AUROC in percent, gains over the shots alone (our training set `original`, "
    "paired by run) in percentage points. Under each row: *measured* is what this study found, *published* what the "
    "document prints, *difference* the first less the second. “–”: not measured, or not printed. Lower is better for "
    "LPIPS, higher for the others."
)
PROMPT_TITLE = "Table 4: prompts that match the shots best and worst"
PROMPT_LEGEND = (
    "The candidates with the highest and the lowest cosine with the shots of the first run; the CSV has every run. "
    "Published: what the document prints, from another encoder's choice among other words where the study has these."
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
    table = []
    for component, names in [("baseline", [BASELINE]), *entry["training_sets"].items()]:
        for training_set, place in product(names, entry["cells"]):
            cell = {**place, "scenario": entry["scenario"], "training_set": training_set}
            values, baseline = (percent_by_run(metrics, key) for key in (cell, baseline_of(cell)))
            printed = printed_component(published, number, cell, component)
            ours = measured(values, None if training_set == BASELINE else baseline)
            column = _column(place, entry["cells"])
            about = {"table": number, "row": component, "column": column, **cell, "metric": "image_auroc"}
            table.append(ablation_row(about, ours, printed, TWO_FORMS * (len(names) > 1 and printed != NONE)))
    return pd.DataFrame(table)


def _column(place: Mapping[str, str], places: Sequence[Mapping[str, str]]) -> str:
    """The category, with all that names the place where several have it."""
    alone = sum(other["category"] == place["category"] for other in places) == 1
    return place["category"] if alone else " / ".join(place[name] for name in ("dataset", "category", "detector"))


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
    place = {name: entry[name] for name in ("dataset", "scenario")}
    place["category"] = "average" if len(entry["categories"]) > 1 else entry["categories"][0]
    forms = {"original": BASELINE, **entry["training_sets"]}
    rows = []
    for (form, training_set), (metric, name) in product(forms.items(), FORM_METRICS.items()):
        if metric == "image_auroc":
            ours, note = _auroc(entry, training_set, metrics)
        elif form == "original":
            ours, note = {**measured(pd.Series([OF_ITSELF[metric]]).dropna()), "runs": 0}, BY_DEFINITION
        else:
            values = quality_by_run([qualities[one, training_set] for one in entry["categories"]], metric)
            ours, note = measured(values), ABSENT * values.empty if metric == "lpips" else MOVED * moved
        detector = entry["detector"] if metric == "image_auroc" else ""
        about = {"table": 16, "row": form, "column": metric, "detector": detector, "metric": metric}
        printed = printed_form(published, entry["dataset"], name, form)
        rows.append(ablation_row({**place, **about, "training_set": training_set}, ours, printed, note))
    return pd.DataFrame(rows)


def _auroc(entry: Mapping[str, Any], training_set: str, metrics: pd.DataFrame) -> tuple[dict[str, Any], str]:
    """Our AUROC over the categories, and what it is over."""
    place = {name: entry[name] for name in ("dataset", "detector", "scenario")}
    cells = [{**place, "category": category, "training_set": training_set} for category in entry["categories"]]
    values = mean_of_categories([percent_by_run(metrics, cell) for cell in cells])
    baseline = mean_of_categories([percent_by_run(metrics, baseline_of(cell)) for cell in cells])
    number = len(entry["categories"])
    over = f"{number} categories" if number > 1 else entry["categories"][0]
    note = f"Ours: {over}, {entry['detector']}, {entry['scenario']}; the document does not say what it averages over."
    return measured(values, None if training_set == BASELINE else baseline), note


def quality_by_run(tables: Sequence[pd.DataFrame], quality: str) -> "pd.Series[float]":
    """Mean over the accepted images of a run, then over categories; a PSNR of equal images does not count."""
    finite = [table[table["accepted"]].replace(np.inf, np.nan) for table in tables]
    return mean_of_categories([table.groupby("run")[quality].mean().dropna() for table in finite])


def by_category_and_form(entry: Mapping[str, Any], values: Sequence[Any]) -> dict[tuple[str, str], Any]:
    """Values that come category by category, form by form, under (category, training set)."""
    return dict(zip(product(entry["categories"], training_sets_of(entry)), values, strict=True))


def qualities_of(entry: Mapping[str, Any], paths: Sequence[str]) -> dict[tuple[str, str], pd.DataFrame]:
    """Tables of schema ``image_quality`` by (category, training set)."""
    return by_category_and_form(entry, [read_table(path, "image_quality") for path in paths])


def prompt_table(
    dataset: str, scenario: str, choices: Mapping[str, Mapping[str, Any]], published: pd.DataFrame
) -> pd.DataFrame:
    """The table of schema ``ablation_prompts``: best and worst prompt of every category and run.

    Args:
        choices: by category, what ``variad.generation.prompts.write_choice`` wrote.
        published: schema ``published_ablations``.
    """
    rows = []
    for category, choice in choices.items():
        about = {name: choice[name] for name in ("class_name", "encoder", "word_source")}
        for run, which in product(choice["runs"], ("best", "worst")):
            printed, note = printed_prompt(published, dataset, category, which)
            found = {"prompt": run[which]["prompt"], "similarity": run[which]["similarity"]}
            place = {"dataset": dataset, "category": category, **about, "scenario": scenario, "run": run["run"]}
            rows.append({**place, "choice": which, **found, "published_prompt": printed, "footnote": note})
    return pd.DataFrame(rows)


def write_value_pages(paths: Mapping[str, str | Path], table: pd.DataFrame, title: str, caption: str) -> None:
    """Both pages, ``md`` and ``tex``, of a table of schema ``ablation_table``; ``title`` begins with its number."""
    label = title.partition(":")[0].lower().replace(" ", "-")
    write_pages(paths, lambda style: value_page(table, title, caption, style), label)


def write_prompt_pages(paths: Mapping[str, str | Path], table: pd.DataFrame, caption: str) -> None:
    """Both pages, ``md`` and ``tex``, of a table of schema ``ablation_prompts``."""
    write_pages(paths, lambda style: prompt_page(table, caption, style), "table-4")


def value_page(table: pd.DataFrame, title: str, caption: str, style: Style) -> Page:
    """A page of schema ``ablation_table``: each row of the document as three lines, AUROC with a column of gains."""
    letters = letters_of(table["footnote"])
    heads = ["", ""]
    for column, metric in table[["column", "metric"]].drop_duplicates().itertuples(index=False, name=None):
        heads.append(style.text(METRIC_TITLES.get(metric, metric.upper()) if column == metric else column))
        heads += ["Gain"] if metric == "image_auroc" else []
    rows = []
    for (row, training_set), part in table.groupby(["row", "training_set"], sort=False):
        entries = part.to_dict("records")
        row_title = ROW_TITLES.get(str(row), str(row))
        row_title += "" if training_set in (row, "original") else f" ({training_set})"
        for value in VALUES:
            cells = [cell for entry in entries for cell in _cells(entry, value, letters, style)]
            rows.append([style.text(row_title) if value == "measured" else "", value, *cells])
    return Page(title, caption, LEGEND, heads, rows, 2, [(letter, text) for text, letter in letters.items()])


def prompt_page(table: pd.DataFrame, caption: str, style: Style) -> Page:
    """A page of schema ``ablation_prompts``: the first run of each category, as the document shows one prompt."""
    heads = ["Category", "", "Prompt", "Cosine", "Published prompt"]
    first = table[table["run"] == table.groupby("category")["run"].transform("min")]
    rows = []
    for row in first.to_dict("records"):
        category = str(row["category"]) if row["choice"] == "best" else ""
        printed = str(row["published_prompt"]) or "–"
        cells = (category, str(row["choice"]), str(row["prompt"]), f"{row['similarity']:.3f}", printed)
        rows.append([style.text(cell) for cell in cells])
    notes = [(letter, text) for text, letter in letters_of(table["footnote"]).items()]
    return Page(PROMPT_TITLE, caption, PROMPT_LEGEND, heads, rows, len(heads), notes)


def _cells(entry: Mapping[Any, Any], value: str, letters: Mapping[str, str], style: Style) -> Iterator[str]:
    """The mean and, of an AUROC, the gain; two decimals, one for AUROC."""
    is_auroc = entry["metric"] == "image_auroc"
    digits = 1 if is_auroc else 2
    yield style.value(entry, value, letters.get(entry["footnote"], ""), digits)
    if is_auroc and value == "difference":
        yield style.number(entry["ours_gain"] - entry["published_gain"], signed=True)
    elif is_auroc:
        whose = "ours" if value == "measured" else "published"
        yield style.number(entry[f"{whose}_gain"], entry.get(f"{whose}_gain_std", math.nan), signed=True)
