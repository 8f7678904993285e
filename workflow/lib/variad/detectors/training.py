"""What a detector trains on (the shots of a run and its accepted added images), and a threshold from that alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variad.core.images import FeatureMaps
from variad.core.records import image_side, read_features, read_image_ids, read_images
from variad.detectors.interface import Detector, DetectorInput, Extractor
from variad.generation.added import read_added, read_shown, read_usage

FOLDS = 5  # of held-out shots


@dataclass(frozen=True)
class CellFiles:
    """Where the inputs of one cell lie; ``added_features`` is None for a recipe that adds nothing."""

    images: str | Path
    features: str | Path
    added: str | Path
    added_features: str | Path | None
    layers: Sequence[str]


def extractor_of(entry: dict[str, Any], images: str | Path) -> Extractor:
    """The extractor of a config entry, for the images of a file: without a resolution of its own it takes theirs."""
    resolution = entry["resolution"] or image_side(images)
    return Extractor(entry["backbone"], tuple(entry["layers"]), entry["weights"], resolution, entry["crop"])


def training_input(files: CellFiles, run: int, shots: Sequence[str], with_images: bool) -> DetectorInput:
    """Shots first, then the accepted added images of the run."""
    rows = accepted_rows(files, run)
    parts = [real_features(files.features, files.layers, shots)]
    if files.added_features is not None and len(rows):
        shown = read_shown(files.added, rows)
        parts.append(read_features(files.added_features, files.layers, [int(row) for row in shown]))
    images = None
    if with_images:
        images = np.concatenate([read_images(files.images, shots), read_added(files.added).pictures(rows)])
    return DetectorInput(concatenated(parts), images)


def accepted_rows(files: CellFiles, run: int) -> list[int]:
    """Rows of ``added.h5`` that belong to a run and were accepted."""
    runs, accepted = read_usage(files.added)
    return [int(row) for row in np.flatnonzero((runs == run) & accepted)]


def real_features(path: str | Path, layers: Sequence[str], image_ids: Sequence[str]) -> FeatureMaps:
    """Features of real images by image_id, in the order asked for."""
    row = {name: index for index, name in enumerate(read_image_ids(path))}
    return read_features(path, layers, [row[name] for name in image_ids])


def concatenated(parts: Sequence[FeatureMaps]) -> FeatureMaps:
    """Feature maps of several sets of images, one after another."""
    return {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}


def held_out_scores(
    create: Callable[[], Detector],
    training: DetectorInput,
    parents: Sequence[str],
    originals: int,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Scores of normal images by detectors that saw neither them nor anything made from them.

    With several shots, whole families (a shot and its added images) are held out in turn, in at most five folds, and
    the shots of the fold are scored. A single shot has to stay; then its added images are held out in two halves.

    Args:
        create: makes an unfitted detector.
        training: shots first, then added images.
        parents: the shot that each image is or comes from; by one name for copies of one picture.
        originals: how many of the first images are shots.

    Returns:
        One score for every image that was held out: none where there is only one training image.
    """
    scores = [np.empty(0, np.float32)]
    for kept, held in _folds(parents, originals):
        detector = create()
        detector.fit(training.rows(kept), generator)
        scores.append(detector.score(training.rows(held)).scores)
    return np.concatenate(scores)


def _folds(parents: Sequence[str], originals: int) -> Iterator[tuple[list[int], list[int]]]:
    everything = range(len(parents))
    families = list(dict.fromkeys(parents))
    if len(parents) < 2:
        return
    if len(families) == 1:
        added = list(everything)[originals:]
        for part in range(min(2, len(added))):
            held = added[part::2]
            yield [row for row in everything if row not in held], held
        return
    for part in range(min(FOLDS, len(families))):
        out = set(families[part::FOLDS])
        yield (
            [row for row in everything if parents[row] not in out],
            [row for row in everything[:originals] if parents[row] in out],
        )
