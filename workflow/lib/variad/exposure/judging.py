"""From scores to the table of outlier exposure: AUROC on the real test and what was gained, over paired runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.aggregation import DECIMALS
from variad.errors import UserError
from variad.exposure.names import FROZEN, NO_SOURCE, PLAIN
from variad.metrics.bootstrap import DRAWS, Resample, interval, resample
from variad.metrics.image import auroc
from variad.metrics.ranking import rank_resampled
from variad.seeding import numpy_generator

Array = NDArray[Any]
Key = tuple[str, str, str]  # source, objective, support set
DIFFERENCES = ("gain", "over_control", "over_support")
COLUMNS = ["dataset", "category", "source", "objective", "support", "mean", "std", "runs"] + [
    f"{name}{end}" for name in DIFFERENCES for end in ("", "_low", "_high")
]


@dataclass(frozen=True)
class Judged:
    """One network of one category: AUROC in each run, ``[R]``, and its mean over runs in each draw, ``[D]``."""

    values: Array
    draws: Array


def judge_category(
    scores: pd.DataFrame, manifest: pd.DataFrame, seed: int, dataset: str, category: str, draws: int = DRAWS
) -> dict[Key, Judged]:
    """AUROC of every network; all share the draws of runs and test images, so that differences are paired.

    Args:
        scores: schema ``exposure_scores``.
        manifest: gives the labels of the test images.

    Raises:
        UserError: test images of one label only.
    """
    labels = manifest.set_index("image_id")["label"]
    drawn: Resample | None = None
    judged = {}
    for key, rows in scores.groupby(["source", "objective", "support"], sort=False):
        matrix = rows.pivot(index="run", columns="image_id", values="score").sort_index(axis=1)
        known = np.asarray(labels.loc[matrix.columns], dtype=int)
        if len(set(known)) < 2:
            raise UserError(f"test images of {dataset}/{category}: expected normal and anomalous ones, found one kind.")
        if drawn is None:
            drawn = resample(
                known, len(matrix), numpy_generator(seed, "bootstrap", "exposure", dataset, category), draws
            )
        judged[_key(key)] = _judged(matrix.to_numpy(), known, drawn)
    return judged


def exposure_table(categories: Mapping[tuple[str, str], Mapping[Key, Judged]], control: str) -> pd.DataFrame:
    """The table of schema ``exposure``, in percent and points, with the average over categories of each data set.

    ``gain`` is against the frozen network, ``over_control`` against the same fine-tuning without exposure, both with
    the same support set; ``over_support`` is against the same network with the plain support set.

    Args:
        categories: of each (data set, category), what ``judge_category`` found.
        control: the objective on normals alone that stands for fine-tuning without exposure.
    """
    judged = dict(categories)
    for dataset in dict.fromkeys(dataset for dataset, _ in categories):
        members = [found for (name, _), found in categories.items() if name == dataset]
        if len(members) > 1:
            judged[dataset, "average"] = _average(members)
    order = sorted(judged, key=lambda place: [name for name, _ in judged].index(place[0]))
    rows = [_row(place, key, judged[place], control) for place in order for key in judged[place]]
    return pd.DataFrame(rows, columns=COLUMNS)


def _key(key: Any) -> Key:
    source, objective, support = key
    return str(source), str(objective), str(support)


def _judged(scores: Array, labels: Array, drawn: Resample) -> Judged:
    values = np.array([auroc(run, labels) for run in scores])
    draws = np.stack([rank_resampled(run, labels, drawn.images).auroc() for run in scores])
    return Judged(values, drawn.mean_over_runs(draws))


def _average(members: Sequence[Mapping[Key, Judged]]) -> dict[Key, Judged]:
    """Over the categories that all have the network; runs in common."""
    shared = [key for key in members[0] if all(key in member for member in members)]
    return {key: _mean([member[key] for member in members]) for key in shared}


def _mean(judged: Sequence[Judged]) -> Judged:
    runs = min(len(one.values) for one in judged)
    return Judged(
        np.mean([one.values[:runs] for one in judged], axis=0), np.mean([one.draws for one in judged], axis=0)
    )


def _row(place: tuple[str, str], key: Key, judged: Mapping[Key, Judged], control: str) -> dict[str, object]:
    source, objective, support = key
    one = judged[key]
    against = dict(
        zip(
            DIFFERENCES,
            [(NO_SOURCE, FROZEN, support), (NO_SOURCE, control, support), (source, objective, PLAIN)],
            strict=True,
        )
    )
    numbers = {"mean": one.values.mean(), "std": one.values.std(ddof=1) if len(one.values) > 1 else np.nan}
    for name, other in against.items():
        numbers |= _difference(name, one, None if other == key else judged.get(other))
    percent = {name: round(100 * float(value), DECIMALS) + 0.0 for name, value in numbers.items()}
    names = dict(zip(COLUMNS[:5], (*place, *key), strict=True))
    return {**names, **percent, "runs": len(one.values)}


def _difference(name: str, one: Judged, other: Judged | None) -> dict[str, float]:
    if other is None:
        return {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan}
    low, high = interval(one.draws - other.draws)
    return {name: float(one.values.mean() - other.values.mean()), f"{name}_low": low, f"{name}_high": high}
