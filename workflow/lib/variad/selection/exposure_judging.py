"""The table of outlier exposure: AUROC on the real test and what was gained, over paired runs; as CSV and Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.seeding import numpy_generator
from variad.core.tables import markdown_page, markdown_table, table_schema
from variad.evaluation.aggregation import DECIMALS
from variad.evaluation.bootstrap import DRAWS, Resample, interval, resample
from variad.evaluation.ranking import auroc, rank_resampled
from variad.selection.records import with_interval
from variad.selection.settings import FROZEN, NO_SOURCE, PLAIN

Array = NDArray[Any]
Key = tuple[str, str, str]  # source, objective, support set
DIFFERENCES = ("gain", "over_control", "over_support")
PLACE = ("dataset", "category", "source", "objective", "support")
LEGEND = (
    "Percent: mean ± standard deviation over runs of the image AUROC on the real test; differences in points [95 % "
    "bootstrap interval over runs and test images]. The score is the total Euclidean distance to the three closest "
    "support embeddings. Objectives on normals alone are the same fine-tuning without exposure: `rotation`, by how "
    "many quarters an image is turned, and `relabelled`, where half of the support set passes for anomalies."
)
HEADS = (
    "exposed to",
    "objective",
    "support set",
    "AUROC",
    "over frozen",
    "over {control}",
    "over the plain support set",
)


@dataclass(frozen=True)
class JudgedNetwork:
    """One network of one category: AUROC in each run, ``[R]``, and its mean over runs in each draw, ``[D]``."""

    values: Array
    draws: Array


def judge_category(
    scores: pd.DataFrame, manifest: pd.DataFrame, seed: int, dataset: str, category: str, draws: int = DRAWS
) -> dict[Key, JudgedNetwork]:
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
            generator = numpy_generator(seed, "bootstrap", "exposure", dataset, category)
            drawn = resample(known, len(matrix), generator, draws)
        runs = matrix.to_numpy()
        values = np.array([auroc(run, known) for run in runs])
        over_images = np.stack([rank_resampled(run, known, drawn.images).auroc() for run in runs])
        source, objective, support = map(str, key)
        judged[source, objective, support] = JudgedNetwork(values, drawn.mean_over_runs(over_images))
    return judged


def exposure_table(categories: Mapping[tuple[str, str], Mapping[Key, JudgedNetwork]], control: str) -> pd.DataFrame:
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
    return pd.DataFrame(rows, columns=list(table_schema("exposure")["properties"]))


def _average(members: Sequence[Mapping[Key, JudgedNetwork]]) -> dict[Key, JudgedNetwork]:
    """Over the categories that all have the network; runs in common."""
    found = {}
    for key in (key for key in members[0] if all(key in member for member in members)):
        judged = [member[key] for member in members]
        runs = min(len(one.values) for one in judged)
        values = np.mean([one.values[:runs] for one in judged], axis=0)
        found[key] = JudgedNetwork(values, np.mean([one.draws for one in judged], axis=0))
    return found


def _row(place: tuple[str, str], key: Key, judged: Mapping[Key, JudgedNetwork], control: str) -> dict[str, object]:
    source, objective, support = key
    one = judged[key]
    against = [(NO_SOURCE, FROZEN, support), (NO_SOURCE, control, support), (source, objective, PLAIN)]
    numbers = {"mean": one.values.mean(), "std": one.values.std(ddof=1) if len(one.values) > 1 else np.nan}
    for name, compared in zip(DIFFERENCES, against, strict=True):
        other = None if compared == key else judged.get(compared)
        low, high = interval(one.draws - other.draws) if other else (np.nan, np.nan)
        difference = one.values.mean() - other.values.mean() if other else np.nan
        numbers |= {name: difference, f"{name}_low": low, f"{name}_high": high}
    percent = {name: round(100 * float(value), DECIMALS) + 0.0 for name, value in numbers.items()}
    names = dict(zip(PLACE, (*place, *key), strict=True))
    return {**names, **percent, "runs": len(one.values)}


def exposure_page(table: pd.DataFrame, caption: str, network: str, control: str) -> str:
    """Table ``exposure`` as Markdown.

    Args:
        caption: on what scale the study ran.
        network: what was fine-tuned, in words.
        control: the objective that ``over_control`` is against.
    """
    parts = [f"Network: {network}.", LEGEND]
    heads = [head.format(control=control) for head in HEADS]
    for (dataset, category), rows in table.groupby(["dataset", "category"], sort=False):
        lines = [_cells(row) for row in rows.to_dict("records")]
        parts += [f"## {dataset}, {category}", markdown_table(heads, lines, left=3)]
    return markdown_page("Outlier exposure", caption, *parts)


def network_text(backbone: str, trained_blocks: int | None) -> str:
    """What was fine-tuned, with a word where it is not the document's."""
    blocks = {None: "all blocks", 1: "the last block"}.get(trained_blocks, f"the last {trained_blocks} blocks")
    standing_in = "" if "vit" in backbone else " in place of a vision transformer, whose weights come in no package"
    return f"{backbone}{standing_in}, {blocks} fine-tuned"


def _cells(row: dict[Any, Any]) -> list[str]:
    spread = "" if pd.isna(row["std"]) else f" ± {row['std']:.1f}"
    mean = f"{row['mean']:.1f}{spread}"
    names = [str(row["source"]), str(row["objective"]), "plain" if row["support"] == PLAIN else str(row["support"])]
    over_control = "" if row["objective"] == FROZEN else with_interval(row, "over_control")
    return [*names, mean, with_interval(row, "gain"), over_control, with_interval(row, "over_support")]
