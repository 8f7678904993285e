"""Scoring validation normals and synthetic anomalies of every source: no label of a real image is needed or read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from variad.anomalies.anomaly_file import read_anomalies, read_manifest, read_normals
from variad.core.errors import UserError
from variad.core.records import read_images
from variad.datasets.sampling import Support, all_image_ids, read_support
from variad.selection.settings import RECONSTRUCTION
from variad.selection.trials import Candidates, ImagePool, Rows, Trial, score_trials


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
