"""Which rows the figures of selection have: every category of a small data set, a large one as a whole."""

import pandas as pd

MANY = 6  # categories of a data set, above which it is shown as a whole


def large_datasets(table: pd.DataFrame) -> set[str]:
    """Data sets with more categories than a figure can show."""
    categories = table[~table["category"].str.startswith("average")].groupby("dataset")["category"].nunique()
    return {str(dataset) for dataset, count in categories.items() if count > MANY}


def with_places(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``place``, where its rows are shown: a category, or a large data set as a whole.

    Args:
        table: with columns ``dataset`` and ``category``.
    """
    large = large_datasets(table)
    counts = table.groupby("dataset")["category"].nunique()
    labels = [
        f"{dataset}\n{counts[dataset]} categories" if dataset in large else f"{dataset}\n{category}"
        for dataset, category in zip(table["dataset"], table["category"], strict=True)
    ]
    return table.assign(place=labels)
