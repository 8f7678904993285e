"""What candidates are asked to do: score some images with a bank of some others."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from variad.records import Images

Rows = NDArray[np.int64]
Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Trial:
    """One bank of normal images and the images that are scored against it.

    Attributes:
        run: candidates that draw random numbers seed them by it.
        bank, queries: rows of a pool of images, ``[B]`` and ``[Q]``.
    """

    run: int
    bank: Rows
    queries: Rows


class Candidates(Protocol):
    """A set of candidates that share their work, such as all nearest-neighbour detectors on one backbone."""

    def describe(self) -> list[dict[str, str | int]]:
        """Rows of the schema ``selection_candidates`` but for set and kind: each one's name, and how large it is."""
        ...

    def score(self, pool: Images, trials: Sequence[Trial]) -> list[Scores]:
        """Scores ``[Q]`` of every trial's queries by candidate; higher is more anomalous.

        A score depends on its image and on its bank alone.
        """
        ...


class ImagePool:
    """Images that are kept once, whoever asks for them.

    Attributes:
        images: uint8 ``[N, S, S, 3]`` of everything that was added.
    """

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self._images: list[Images] = []

    @property
    def images(self) -> Images:
        return np.stack(self._images)

    def add(self, images: Images) -> Rows:
        """Rows of uint8 images ``[K, S, S, 3]``; one that equals an earlier image gets that one's row."""
        return np.asarray([self._row(image) for image in images], np.int64)

    def _row(self, image: Images) -> int:
        key = hashlib.sha256(image.tobytes()).digest()
        if key not in self._rows:
            self._rows[key] = len(self._images)
            self._images.append(image)
        return self._rows[key]


def score_trials(candidates: Candidates, pool: Images, trials: Sequence[Trial]) -> list[Scores]:
    """As ``Candidates.score``, with trials of the same run and bank brought together, so that a bank is fitted once."""
    groups: dict[tuple[int, bytes], list[int]] = {}
    for number, trial in enumerate(trials):
        groups.setdefault((trial.run, trial.bank.tobytes()), []).append(number)
    joined = [
        Trial(
            trials[group[0]].run, trials[group[0]].bank, np.unique(np.concatenate([trials[n].queries for n in group]))
        )
        for group in groups.values()
    ]
    results: list[Scores] = [{} for _ in trials]
    for group, trial, scores in zip(groups.values(), joined, candidates.score(pool, joined), strict=True):
        for number in group:
            at = np.searchsorted(trial.queries, trials[number].queries)
            results[number] = {name: values[at] for name, values in scores.items()}
    return results


def members_of(rows: Rows, trials: Sequence[Trial]) -> Mapping[int, tuple[Rows, Rows]]:
    """Which of some pool rows each trial asks for: by trial number, places in ``rows`` and places in its queries."""
    found = {}
    for number, trial in enumerate(trials):
        _, here, there = np.intersect1d(rows, trial.queries, assume_unique=True, return_indices=True)
        if len(here):
            found[number] = (here, there)
    return found
