"""Reading what selection leaves in a category's folder, and putting its parts together."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from variad.files import writing
from variad.selection.choice import CONTROLS
from variad.selection.judgement import Judged, RealTest, find_closest, judge, real_test, synthetic_test
from variad.tables import read_table

POINTS = ["benchmark", "run", "kind", "source", "candidate", "synthetic_auroc", "real_auroc"]


def read_tables(paths: Sequence[str | Path], schema: str) -> pd.DataFrame:
    """Tables of one schema, one under the other."""
    return pd.concat([read_table(path, schema) for path in paths], ignore_index=True)


def real_defects(manifest: str | Path) -> dict[str, str]:
    """What every test image of a manifest shows, by image_id; ``good`` is normal."""
    table = read_table(manifest, "manifest")
    tested = table[table["split"] == "test"]
    return dict(zip(tested["image_id"], tested["defect"], strict=True))


def judge_category(
    benchmarks: Sequence[str],
    candidates: pd.DataFrame,
    choices: pd.DataFrame,
    synthetic: pd.DataFrame,
    real: pd.DataFrame,
    defects: Mapping[str, str],
    key: tuple[str | int, ...],
) -> tuple[list[Judged], pd.DataFrame]:
    """Judge every benchmark, kind and source of a category, and give the points of figures 4 and 5.

    Args:
        candidates, choices, synthetic, real: schemas ``selection_candidates``, ``choices``, ``synthetic_scores``,
            ``real_scores``, of every candidate set.
        defects: of ``real_defects``.
        key: root seed, data set, category.
    """
    closest = find_closest(real, defects) if "one_vs_closest" in benchmarks else ""
    found, points = [], []
    for kind, members in candidates.groupby("kind", sort=False):
        names = list(members["candidate"])
        mine = real_test(real[real["candidate"].isin(names)], defects, names)
        test = RealTest(mine.candidates, mine.scores, mine.defects, closest)
        scored = synthetic[synthetic["candidate"].isin(names)]
        sources = {str(name): synthetic_test(rows, names) for name, rows in scored.groupby("source", sort=False)}
        weights = choice_weights(choices[choices["kind"] == kind], names)
        for benchmark in benchmarks:
            judged, values = judge(benchmark, str(kind), test, sources, weights, key)
            found += judged
            for source, one in sources.items():
                points.append(_points(benchmark, str(kind), source, names, one.auroc(), values))
    return found, pd.concat(points, ignore_index=True)


def choice_weights(choices: pd.DataFrame, candidates: Sequence[str]) -> dict[str, "np.ndarray"]:  # type: ignore[type-arg]
    """What each source chose, ``[R, K]``: sources as they come, then the controls."""
    table = choices.pivot_table(index=["source", "run"], columns="candidate", values="weight", fill_value=0.0)
    table = table.reindex(columns=list(candidates), fill_value=0.0)
    order = list(dict.fromkeys(choices["source"]))
    order = [name for name in order if name not in CONTROLS] + [name for name in CONTROLS if name in order]
    return {name: table.loc[name].sort_index().to_numpy() for name in order}


def judged_table(judged: Sequence[Judged], dataset: str, category: str) -> pd.DataFrame:
    """Table ``judged``."""
    return pd.DataFrame([one.row for one in judged]).assign(dataset=dataset, category=category)


def write_draws(path: str | Path, judged: Sequence[Judged]) -> None:
    """Draws of tau, ``/tau`` float32 ``[rows of judged.csv, D]``, NaN where there is no ranking."""
    length = max((len(one.tau_draws) for one in judged), default=0)
    draws = np.full((len(judged), length), np.nan, np.float32)
    for row, one in enumerate(judged):
        if len(one.tau_draws):
            draws[row] = one.tau_draws
    with writing(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("tau", data=draws, compression="gzip")


def read_draws(path: str | Path) -> "np.ndarray":  # type: ignore[type-arg]
    """What ``write_draws`` wrote."""
    with h5py.File(path) as file:
        return np.asarray(file["tau"][:])


def _points(
    benchmark: str,
    kind: str,
    source: str,
    names: Sequence[str],
    synthetic: "np.ndarray",
    real: "np.ndarray",  # type: ignore[type-arg]
) -> pd.DataFrame:
    rows = [
        (benchmark, run, kind, source, name, synthetic[run, place], real[run, place])
        for run in range(len(real))
        for place, name in enumerate(names)
    ]
    return pd.DataFrame(rows, columns=POINTS)
