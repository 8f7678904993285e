"""Published values as they are in the project, and summaries made from them."""

from pathlib import Path

import pandas as pd
import pytest

from variad.paper.comparison import KEY, TABLES, Facts, Measured, compare

FOLDER = Path(__file__).parents[2] / "resources" / "published"


@pytest.fixture(scope="session")
def facts() -> Facts:
    return Facts(FOLDER)


@pytest.fixture(scope="session")
def notes(facts) -> dict[tuple[str, ...], list[str]]:
    """The notes on each number of the tables, by the values of ``KEY``."""
    nothing = Measured(pd.DataFrame(columns=[*KEY, "mean", "std"]))
    numbers = [number for table in TABLES.values() for number in compare(table, nothing, facts)]
    return {tuple(number[name] for name in KEY): list(number["notes"]) for number in numbers if number["notes"]}


@pytest.fixture
def summary(facts) -> pd.DataFrame:
    """A study of every category whose values are the published ones and one more; pixel AUROC is the image AUROC."""
    published = facts.auroc[~facts.auroc["category"].str.startswith("average")]
    image = pd.DataFrame(
        {
            "dataset": published["dataset"],
            "category": published["category"],
            "detector": published["detector"].replace("efficient_ad", "efficientad"),
            "scenario": published["scenario"],
            "training_set": published["source"],
            "metric": "image_auroc",
            "mean": published["mean_percent"] + 1,
            "std": 0.5,
        }
    )
    return pd.concat([image, image.assign(metric="pixel_auroc")], ignore_index=True)
