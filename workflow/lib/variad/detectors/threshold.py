"""A threshold for unlabelled images, from training normals alone."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from variad.detectors.base import Detector, DetectorInput
from variad.errors import UserError

FOLDS = 5


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
        parents: the shot that each image is or comes from.
        originals: how many of the first images are shots.

    Raises:
        UserError: there is only one training image.
    """
    if len(parents) < 2:
        raise UserError("threshold: expected at least two training images, found one; add images or shots.")
    scores = []
    for kept, held in _folds(parents, originals):
        detector = create()
        detector.fit(_rows(training, kept), generator)
        scores.append(detector.score(_rows(training, held)).scores)
    return np.concatenate(scores)


def _folds(parents: Sequence[str], originals: int) -> Iterator[tuple[list[int], list[int]]]:
    everything = range(len(parents))
    families = list(dict.fromkeys(parents))
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


def _rows(images: DetectorInput, rows: Sequence[int]) -> DetectorInput:
    features = {layer: values[list(rows)] for layer, values in images.features.items()}
    return DetectorInput(features, None if images.images is None else images.images[list(rows)])
