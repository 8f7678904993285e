"""Validation normals and synthetic anomalies of every source, scored, and what each source chooses by these scores.

A choice is the argmax of synthetic AUROC: no label of a real image is needed or read, and no real anomaly was seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from variad.anomalies.anomaly_file import read_anomalies, read_manifest, read_normals
from variad.core.errors import UserError
from variad.core.records import read_images
from variad.datasets.sampling import Support, all_image_ids, read_support
from variad.evaluation.ranking import auroc
from variad.selection.settings import DEFAULT, LARGEST, RANDOM, RECONSTRUCTION
from variad.selection.trials import Candidates, ImagePool, Rows, Trial, score_trials

CANDIDATE_KEY = ["run", "kind", "source"]
RECIPE_KEY = ["scenario", "run", "source"]


@dataclass(frozen=True)
class SourceFiles:
    """Where the anomalies of a source lie: its ``anomalies.h5`` and ``manifest.csv``."""

    name: str
    images: str | Path
    manifest: str | Path


@dataclass(frozen=True)
class SyntheticSet:
    """The synthetic test of one run and source: what is scored, by which bank, with which labels."""

    source: str
    trial: Trial
    image_ids: tuple[str, ...]
    labels: tuple[int, ...]


def synthetic_sets(
    images: str | Path, support: str | Path, sources: Sequence[SourceFiles]
) -> tuple[ImagePool, list[SyntheticSet]]:
    """Every run and source: validation normals (label 0), then the source's anomalies of that run (label 1).

    Where a source brings its own versions of normal images, they take the place of the originals in the bank and in
    the validation set, so that traces of its generator are on both sides. The first such source also gives the control
    ``reconstruction``: original validation normals (0) against their own regenerations (1), with the original bank,
    which shows what those traces alone would choose.

    Raises:
        UserError: a source lacks anomalies of some run, or a normal image.
    """
    runs = read_support(support)
    names = all_image_ids(runs)
    pool = ImagePool()
    originals = dict(zip(names, pool.add(read_images(images, names)).tolist(), strict=True))
    sets, regenerated = [], None
    for source in sources:
        manifest, normals, own = read_manifest(source.manifest), read_normals(source.images), originals
        if normals is not None:
            own = dict(zip(normals.image_ids, pool.add(normals.images).tolist(), strict=True))
            regenerated = own if regenerated is None else regenerated
        for run, members in runs.items():
            anomalies = manifest[manifest["run"] == run]
            if anomalies.empty:
                raise UserError(f"{source.manifest}: expected anomalies of run {run}, found none.")
            rows = pool.add(read_anomalies(source.images, anomalies))
            sets.append(_against(source.name, run, members, own, rows, anomalies["anomaly_id"], source.images))
    if regenerated is not None:
        for run, members in runs.items():
            again = known_rows(regenerated, members.validation, "images.h5")
            named = [f"{RECONSTRUCTION}/{name}" for name in members.validation]
            sets.append(_against(RECONSTRUCTION, run, members, originals, again, named, "images.h5"))
    return pool, sets


def score_sets(candidates: Candidates, pool: ImagePool, sets: Sequence[SyntheticSet], prefix: str) -> pd.DataFrame:
    """Table ``synthetic_scores``; names of candidates begin with ``prefix`` and a slash."""
    results = score_trials(candidates, pool.images, [one.trial for one in sets])
    parts = []
    for one, scores in zip(sets, results, strict=True):
        tested = {"source": one.source, "image_id": one.image_ids, "label": one.labels}
        for name, values in scores.items():
            parts.append(
                pd.DataFrame({"run": one.trial.run, "candidate": f"{prefix}/{name}", **tested, "score": values})
            )
    return pd.concat(parts, ignore_index=True)


def _against(
    source: str,
    run: int,
    members: Support,
    normals: Mapping[str, int],
    anomalies: Rows,
    names: Iterable[str],
    where: str | Path,
) -> SyntheticSet:
    """Validation images of a run against anomalies, rows of the pool, by the run's bank; ``where`` normals lie."""
    bank, validation = (known_rows(normals, ids, where) for ids in (members.bank, members.validation))
    trial = Trial(run, bank, np.concatenate([validation, anomalies]))
    labels = (0,) * len(validation) + (1,) * len(anomalies)
    return SyntheticSet(source, trial, (*members.validation, *names), labels)


def known_rows(rows: Mapping[str, int], names: Sequence[str], where: str | Path) -> Rows:
    """The rows of normal images.

    Raises:
        UserError: a name is not among ``rows``.
    """
    missing = [name for name in names if name not in rows]
    if missing:
        raise UserError(f"{where}: expected a normal image {missing[0]}, found none.")
    return np.asarray([rows[name] for name in names], np.int64)


def synthetic_auroc(scores: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """Table ``synthetic_auroc``: validation normals against anomalies, by run, source and candidate.

    Args:
        scores, candidates: schemas ``synthetic_scores`` and ``selection_candidates``, of every candidate set.
    """
    kinds = dict(zip(candidates["candidate"], candidates["kind"], strict=True))
    aurocs = _auroc_of_each(scores, ["run", "source", "candidate"])
    return aurocs.assign(kind=[kinds[name] for name in aurocs["candidate"]])


def recipe_auroc(scores: pd.DataFrame) -> pd.DataFrame:
    """Table ``recipe_auroc`` of schema ``recipe_scores``: the same by scenario, run, source and training set."""
    return _auroc_of_each(scores, [*RECIPE_KEY, "training_set"])


def _auroc_of_each(scores: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    groups = scores.groupby(key, sort=False)
    rows = [(*place, auroc(group["score"], group["label"])) for place, group in groups]
    return pd.DataFrame(rows, columns=[*key, "synthetic_auroc"])


def choose(aurocs: pd.DataFrame, candidates: pd.DataFrame, default: str | None) -> pd.DataFrame:
    """Table ``choices``: an argmax for every run, kind and source, then controls that need no anomalies.

    Controls: ``random`` (all in equal weights, so its worth is the expected one), ``largest_backbone`` (detectors with
    the most parameters, then the deepest layer, then the highest resolution), ``default`` (a fixed detector; of the
    prompts the first).

    Args:
        aurocs, candidates: schemas ``synthetic_auroc`` and ``selection_candidates``, of every candidate set.
        default: name of the fixed detector; None for no such control.

    Raises:
        UserError: the default is no candidate.
    """
    order = np.argsort(aurocs.groupby(CANDIDATE_KEY, sort=False).ngroup(), kind="stable")
    parts = [_highest(aurocs.iloc[order], CANDIDATE_KEY)]
    for run in sorted(set(aurocs["run"])):
        for kind, members in candidates.groupby("kind", sort=False):
            for source, names in _controls(str(kind), members, default).items():
                place = {"run": run, "kind": kind, "source": source, "synthetic_auroc": np.nan}
                parts.append(pd.DataFrame({**place, "candidate": names, "weight": 1 / len(names)}))
    return pd.concat(parts, ignore_index=True)


def choose_recipes(aurocs: pd.DataFrame) -> pd.DataFrame:
    """Table ``recipe_choices`` of schema ``recipe_auroc``: the argmax for every scenario, run and source."""
    return _highest(aurocs, RECIPE_KEY)


def _highest(aurocs: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """What has the highest AUROC; ties share the choice in equal weights, so that its worth is their mean."""
    best = aurocs[aurocs["synthetic_auroc"] == aurocs.groupby(key)["synthetic_auroc"].transform("max")]
    weights = 1 / best.groupby(key)["synthetic_auroc"].transform("size")
    return best.assign(weight=weights).reset_index(drop=True)


def _controls(kind: str, candidates: pd.DataFrame, default: str | None) -> dict[str, list[str]]:
    names = list(candidates["candidate"])
    if kind == "prompt":
        return {RANDOM: names, DEFAULT: names[:1]}
    sizes = candidates[["parameters", "depth", "resolution"]].apply(tuple, axis=1)
    found = {RANDOM: names, LARGEST: list(candidates.loc[sizes == max(sizes), "candidate"])}
    if default is None:
        return found
    if default not in names:
        some = ", ".join(names[:4]) + (f", ... ({len(names)} candidates)" if len(names) > 4 else "")
        raise UserError(f"config key selection.default: expected a candidate such as {some}, found '{default}'.")
    return {**found, DEFAULT: [default]}
