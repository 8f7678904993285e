"""One cell of a study: a data set, category, scenario, training set and detector, its metrics and their draws."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.seeding import numpy_generator
from variad.core.tables import read_table
from variad.evaluation.bootstrap import Resample, image_metric_draws, pixel_auroc_draws, resample
from variad.evaluation.pixel import image_auroc_by_type, read_pixel_histograms
from variad.evaluation.ranking import image_metrics

Array = NDArray[Any]

_log = logging.getLogger(__name__)

CELL_KEY = ["dataset", "category", "detector", "scenario", "training_set"]


def evaluate_cell(scores: pd.DataFrame, pixel_metrics: pd.DataFrame, cell: dict[str, str]) -> pd.DataFrame:
    """Every metric of every run, a table of schema ``metrics``.

    Image metrics need normal and anomalous test images; without both there are none. Where the anomalies are logical
    and structural, image AUROC is given for each type too.

    Args:
        scores: schema ``scores``.
        pixel_metrics: columns ``run, metric, value``.
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
    rows = []
    for run, group in scores.groupby("run"):
        if group["label"].nunique() == 2:
            found = image_metrics(group["score"], group["label"]) | image_auroc_by_type(group)
            rows += [(run, metric, value) for metric, value in found.items()]
    table = pd.concat([pd.DataFrame(rows, columns=["run", "metric", "value"]), pixel_metrics], ignore_index=True)
    return table.assign(**cell)


@dataclass(frozen=True)
class Cell:
    """What is known of one cell: its key, and tables by schema ``metrics`` and ``scores``; histograms stay on disk."""

    dataset: str
    category: str
    detector: str
    scenario: str
    training_set: str
    metrics: pd.DataFrame
    scores: pd.DataFrame
    histograms: Path

    @property
    def key(self) -> dict[str, str]:
        """The values of ``CELL_KEY``."""
        return {name: getattr(self, name) for name in CELL_KEY}

    def score_matrix(self) -> pd.DataFrame:
        """Image scores, a row a run and a column a pair (image_id, label), both sorted."""
        return self.scores.pivot(index="run", columns=["image_id", "label"], values="score").sort_index(axis=1)


def read_cells(metrics: Sequence[str], scores: Sequence[str], histograms: Sequence[str]) -> list[Cell]:
    """Read cells from parallel lists of paths; a cell without any metric (no anomalous test image) is left out."""
    cells = []
    for metric_path, score_path, histogram_path in zip(metrics, scores, histograms, strict=True):
        table = read_table(metric_path, "metrics")
        if table.empty:
            _log.info("%s has no metric and is left out", metric_path)
            continue
        key, read = {name: str(table[name].iloc[0]) for name in CELL_KEY}, read_table(score_path, "scores")
        cells.append(Cell(**key, metrics=table, scores=read, histograms=Path(histogram_path)))
    return cells


def check_paired(cell: Cell, baseline: Cell) -> None:
    """Check that two cells scored the same test images in the same runs.

    Raises:
        UserError: they did not.
    """
    where = "/".join(cell.key.values())
    ours, theirs = cell.score_matrix(), baseline.score_matrix()
    if list(ours.index) != list(theirs.index):
        raise UserError(
            f"{where}: expected the runs of {baseline.training_set}, {list(theirs.index)}, found {list(ours.index)}."
        )
    complete = not (ours.isna().any(axis=None) or theirs.isna().any(axis=None))
    maps, their_maps = (
        {run: found.image_id for run, found in read_pixel_histograms(one.histograms).items()}
        for one in (cell, baseline)
    )
    if not complete or list(ours.columns) != list(theirs.columns) or maps != their_maps:
        raise UserError(f"{where}: expected the test images of {baseline.training_set} in every run, found others.")


def metric_draws(cell: Cell, seed: int, draws: int) -> dict[str, Array]:
    """Mean over runs, in each draw ``[D]``, of each metric that has an interval; all training sets share the draws.

    Args:
        seed: root seed; the draws descend from it and (dataset, category, scenario, detector).
    """
    matrix = cell.score_matrix()
    labels = matrix.columns.get_level_values("label").to_numpy()
    found: dict[str, Array] = {}
    if len(set(labels)) == 2:
        drawn = _resample(cell, "image", labels, len(matrix), seed, draws)
        found |= image_metric_draws(matrix.to_numpy(), labels, drawn)
    histograms = list(read_pixel_histograms(cell.histograms).values())
    if histograms:
        # Maps are drawn by what their masks hold: a draw without a defective pixel would have no AUROC.
        defective = (histograms[0].positives.sum(axis=1) > 0).astype(int)
        drawn = _resample(cell, "pixel", defective, len(histograms), seed, draws)
        found["pixel_auroc"] = pixel_auroc_draws([(run.positives, run.negatives) for run in histograms], drawn)
    return found


def _resample(cell: Cell, level: str, labels: Array, runs: int, seed: int, draws: int) -> Resample:
    key = ("bootstrap", level, cell.dataset, cell.category, cell.scenario, cell.detector)
    return resample(np.asarray(labels), runs, numpy_generator(seed, *key), draws)
