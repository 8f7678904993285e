"""The table of metrics of one cell: one data set, category, scenario, training set and detector."""

import logging

import pandas as pd

from variad.errors import UserError
from variad.metrics.anomaly_types import image_auroc_by_type
from variad.metrics.image import IMAGE_METRICS

_log = logging.getLogger(__name__)

CELL_KEY = ["dataset", "category", "detector", "scenario", "training_set"]


def evaluate_cell(scores: pd.DataFrame, pixel_metrics: pd.DataFrame, cell: dict[str, str]) -> pd.DataFrame:
    """Every metric of every run, a table of schema ``metrics``.

    Image metrics need normal and anomalous test images; without both there are none. Where the anomalies are logical
    and structural, image AUROC is given for each type too.

    Args:
        scores: schema ``scores``.
        pixel_metrics: schema ``pixel_metrics``.
        cell: the values of ``CELL_KEY``.

    Raises:
        UserError: an image is scored twice in one run.
    """
    twice = scores[scores.duplicated(["run", "image_id"])]
    if len(twice):
        raise UserError(
            f"scores of {'/'.join(cell[name] for name in CELL_KEY)}: expected each image once a run, "
            f"found {twice.iloc[0]['image_id']} twice in run {twice.iloc[0]['run']}."
        )
    if scores["label"].nunique() < 2:
        _log.info("test images have one label only: no image metrics")
    rows = [
        {"run": run, "metric": metric, "value": value}
        for run, group in scores.groupby("run")
        if group["label"].nunique() == 2
        for metric, value in _image_metrics(group).items()
    ]
    table = pd.concat([pd.DataFrame(rows, columns=["run", "metric", "value"]), pixel_metrics], ignore_index=True)
    return table.assign(**cell)


def _image_metrics(scores: pd.DataFrame) -> dict[str, float]:
    found = {metric: function(scores["score"], scores["label"]) for metric, function in IMAGE_METRICS.items()}
    return found | image_auroc_by_type(scores)
