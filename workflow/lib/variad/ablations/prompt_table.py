"""Table 4: the prompts that match the shots best and worst, beside the document's."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from variad.ablations.published import printed_prompt

CHOICES = ("best", "worst")


def prompt_table(
    dataset: str, scenario: str, choices: Mapping[str, Mapping[str, Any]], published: pd.DataFrame
) -> pd.DataFrame:
    """The table of schema ``ablation_prompts``: best and worst prompt of every category and run.

    Args:
        choices: by category, what ``variad.prompts.scoring.write_choice`` wrote.
        published: schema ``published_ablations``.
    """
    rows = [
        _row(dataset, category, scenario, choice, run, which, published)
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


def _row(
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
