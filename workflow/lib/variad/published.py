"""Published values beside ours: only for the paper's two training sets, and averages only over the same categories."""

from collections.abc import Mapping, Set

import pandas as pd

# our names of detectors whose name in the published tables is another
_PUBLISHED_DETECTORS = {"efficientad": "efficient_ad"}


def published_detector(name: str) -> str:
    """The name that a detector of ours has in the published tables."""
    return _PUBLISHED_DETECTORS.get(name, name)


def published_mean(published: pd.DataFrame, key: Mapping[str, str], categories: Set[str]) -> float:
    """The published value of a row of the summary in percent; NaN when there is none.

    Args:
        published: schema ``published_auroc``; its column ``source`` is our ``training_set``.
        key: dataset, category, detector, scenario, training_set and metric of the row.
        categories: the categories of the data set that a study has. A published average is given only to a study of
            all the published categories and no other: averages over different ones cannot be compared.
    """
    same_dataset = published[published["dataset"] == key["dataset"]]
    if _is_average(key["category"]) and _without_averages(set(same_dataset["category"])) != _without_averages(
        categories
    ):
        return float("nan")
    match = same_dataset.rename(columns={"source": "training_set"})
    for name, value in key.items():
        match = match[match[name] == (published_detector(value) if name == "detector" else value)]
    return float(match["mean_percent"].iloc[0]) if len(match) else float("nan")


def _is_average(category: str) -> bool:
    return category == "average" or category.startswith("average_")


def _without_averages(categories: Set[str]) -> set[str]:
    return {category for category in categories if not _is_average(category)}
