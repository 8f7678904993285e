"""The synthetic test of a run and source, scored by fitted detectors, without anything that they were trained on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.anomalies.anomaly_file import read_anomalies, read_manifest, read_normals
from variad.core.errors import UserError
from variad.core.images import Images
from variad.core.records import read_images
from variad.datasets.sampling import Support
from variad.detectors.interface import Detector, DetectorInput, Extractor
from variad.networks.backbones import Backbone
from variad.selection.fitted_detectors import extract
from variad.selection.synthetic import SourceFiles, known_rows
from variad.selection.trials import ImagePool, Rows

BATCH = 32


@dataclass(frozen=True)
class RecipeTest:
    """What is scored, in the order of ``rows``.

    Attributes:
        rows: of a pool of images, ``[N]``.
        image_ids: of validation normals, then of anomalies.
        labels: 0 and 1.
    """

    source: str
    rows: Rows
    image_ids: tuple[str, ...]
    labels: tuple[int, ...]


def synthetic_tests(
    pool: ImagePool,
    images: str | Path,
    support: Support,
    run: int,
    shots: Collection[str],
    sources: Sequence[SourceFiles],
    limit: int | None = None,
) -> list[RecipeTest]:
    """A test for every source: validation normals that are no shots, and anomalies that no shot is a parent of.

    Shots and support sets are drawn from the same training images, each on its own, so that some images are in both. A
    detector knows its shots, and would find them, and what was made of them, more normal than the rest.

    Args:
        pool: takes the images.
        images: the category's ``images.h5``.
        shots: of the detectors' run.
        limit: at most so many anomalies, spread evenly over the manifest; None is all.

    Raises:
        UserError: shots leave no validation image, or a source no anomaly.
    """
    known = [name for name in support.validation if name not in shots]
    if not known:
        raise UserError(
            f"{images}: expected validation images that are no shots of run {run}, found none of "
            f"{len(support.validation)}; name fewer scenarios in the config key recipes.scenarios."
        )
    originals, tests = read_images(images, known), []
    for source in sources:
        manifest = read_manifest(source.manifest)
        foreign = ~(manifest["parent_a"].isin(shots) | manifest["parent_b"].isin(shots))
        anomalies = manifest[(manifest["run"] == run) & foreign]
        if anomalies.empty:
            raise UserError(
                f"{source.manifest}: expected anomalies of run {run} that are not made of shots, found none."
            )
        anomalies = anomalies.iloc[spread_evenly(len(anomalies), limit)]
        normals, rendered = originals, read_normals(source.images)
        if rendered is not None:  # as the source's generator renders them, so that its traces are on both sides
            row = {name: at for at, name in enumerate(rendered.image_ids)}
            normals = rendered.images[known_rows(row, known, source.images)]
        rows = np.concatenate([pool.add(normals), pool.add(read_anomalies(source.images, anomalies))])
        labels = (0,) * len(known) + (1,) * len(anomalies)
        tests.append(RecipeTest(source.name, rows, (*known, *anomalies["anomaly_id"]), labels))
    return tests


def spread_evenly(count: int, limit: int | None) -> list[int]:
    """``limit`` of ``count`` places, from the first to the last; all of them without a limit."""
    if limit is None or limit >= count:
        return list(range(count))
    return [round(place) for place in np.linspace(0, count - 1, limit).tolist()]


class RecipeCell(NamedTuple):
    """Which of a detector's cells."""

    scenario: str
    training_set: str


def score_pool(
    detectors: Mapping[RecipeCell, Detector],
    images: Images,
    backbone: Backbone,
    extractor: Extractor,
    device: str = "cpu",
) -> dict[RecipeCell, NDArray[np.float32]]:
    """Scores ``[N]`` of images uint8 ``[N, S, S, 3]`` by the detector of every cell."""
    parts: dict[RecipeCell, list[NDArray[np.float32]]] = {cell: [] for cell in detectors}
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        features = extract(backbone, batch, extractor, device)
        for cell, detector in detectors.items():
            seen = DetectorInput(features, batch if detector.uses_images else None)
            parts[cell].append(detector.score(seen).scores)
    return {cell: np.concatenate(scores) for cell, scores in parts.items()}


def score_table(
    scores: Mapping[RecipeCell, NDArray[np.float32]], tests: Mapping[str, Sequence[RecipeTest]], run: int
) -> pd.DataFrame:
    """Rows of schema ``recipe_scores``.

    Args:
        scores: of the pool's images, by cell.
        tests: by scenario, since each has shots of its own.
    """
    parts = []
    for cell, values in scores.items():
        for test in tests[cell.scenario]:
            place = {**cell._asdict(), "run": run, "source": test.source}
            scored = {"image_id": test.image_ids, "label": test.labels, "score": values[test.rows]}
            parts.append(pd.DataFrame({**place, **scored}))
    return pd.concat(parts, ignore_index=True)
