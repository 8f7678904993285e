"""The recipe that every source chooses: the training set whose detector has the highest synthetic AUROC."""

import pandas as pd

from variad.metrics.image import auroc

KEY = ["scenario", "run", "source"]


def synthetic_auroc(scores: pd.DataFrame) -> pd.DataFrame:
    """Table ``recipe_auroc``: validation normals against anomalies, for every scenario, run, source and training set.

    Args:
        scores: schema ``recipe_scores``.
    """
    rows = [
        (*key, auroc(group["score"], group["label"]))
        for key, group in scores.groupby([*KEY, "training_set"], sort=False)
    ]
    return pd.DataFrame(rows, columns=[*KEY, "training_set", "synthetic_auroc"])


def choose_recipes(aurocs: pd.DataFrame) -> pd.DataFrame:
    """Table ``recipe_choices``: the argmax for every scenario, run and source.

    Training sets that tie share the choice in equal weights, so that what it is worth is their mean.

    Args:
        aurocs: schema ``recipe_auroc``.
    """
    best = aurocs[aurocs["synthetic_auroc"] == aurocs.groupby(KEY)["synthetic_auroc"].transform("max")]
    return best.assign(weight=1 / best.groupby(KEY)["training_set"].transform("size")).reset_index(drop=True)
