"""Tables 4 and 16 to 18 for reading, as Markdown and LaTeX, in the manner of tables 5 to 15."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from variad.paper.comparison import VALUES
from variad.paper.forms import Page, Style, letters_of, write_pages

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
        row_title = style.text(_row_title(str(row), str(training_set)))
        for value in VALUES:
            cells = [cell for entry in entries for cell in _cells(entry, value, letters, style)]
            rows.append([row_title if value == "measured" else "", value, *cells])
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


def _row_title(row: str, training_set: str) -> str:
    title = ROW_TITLES.get(row, row)
    return title if training_set in (row, "original") else f"{title} ({training_set})"


def _cells(entry: Mapping[Any, Any], value: str, letters: Mapping[str, str], style: Style) -> Iterator[str]:
    """The mean and, of an AUROC, the gain; two decimals, one for AUROC."""
    is_auroc = entry["metric"] == "image_auroc"
    digits = 1 if is_auroc else 2
    if value == "difference":
        yield style.number(entry["difference"], digits=digits, signed=True)
        if is_auroc:
            yield style.number(entry["ours_gain"] - entry["published_gain"], signed=True)
        return
    whose = "ours" if value == "measured" else "published"
    text = style.number(entry[f"{whose}_mean"], entry[f"{whose}_std"], digits)
    if value == "published" and entry["footnote"]:
        text += style.mark.format(letters[entry["footnote"]])
    yield text
    if is_auroc:
        yield style.number(entry[f"{whose}_gain"], entry.get(f"{whose}_gain_std", math.nan), signed=True)
