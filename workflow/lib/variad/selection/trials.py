"""What candidates are asked to do: score some images with a bank of some others.

The real test images are scored here too; their labels are the judge's business.
"""

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.images import Images
from variad.core.records import read_images
from variad.datasets.sampling import read_support
from variad.selection.settings import METHODS, kind_of

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
        rows = []
        for image in images:
            row = self._rows.setdefault(hashlib.sha256(image.tobytes()).digest(), len(self._images))
            if row == len(self._images):
                self._images.append(image)
            rows.append(row)
        return np.asarray(rows, np.int64)


def score_trials(candidates: Candidates, pool: Images, trials: Sequence[Trial]) -> list[Scores]:
    """As ``Candidates.score``, with trials of the same run and bank brought together, so that a bank is fitted once."""
    groups: dict[tuple[int, bytes], list[int]] = {}
    for number, trial in enumerate(trials):
        groups.setdefault((trial.run, trial.bank.tobytes()), []).append(number)
    joined = []
    for group in groups.values():
        queries = np.unique(np.concatenate([trials[number].queries for number in group]))
        joined.append(replace(trials[group[0]], queries=queries))
    results: list[Scores] = [{} for _ in trials]
    for group, trial, scores in zip(groups.values(), joined, candidates.score(pool, joined), strict=True):
        for number in group:
            at = np.searchsorted(trial.queries, trials[number].queries)
            results[number] = {name: values[at] for name, values in scores.items()}
    return results


def open_candidates(entry: Mapping[str, Any], **around: Any) -> Candidates:
    """Make the candidates of a config entry.

    Args:
        entry: with ``method`` and the keys of that method.
        around: what the method needs beside its entry: ``image_size``, ``seed``, ``key``, ``device`` for all;
            ``detectors`` (entries of the config with their extractors in place of names), ``encoder`` (its entry) and
            ``classes`` (ConSE's file), ``class_name``.

    Raises:
        UserError: unknown method, backbone, layer, detector, template set or encoder.
    """
    method = entry["method"]
    if method not in METHODS:
        raise UserError(f"candidates: expected a method of {', '.join(METHODS)}, found '{method}'.")
    candidates: Candidates = importlib.import_module(METHODS[method][1]).open_candidates(entry, **around)
    return candidates


def candidate_table(candidates: Candidates, name: str, method: str) -> pd.DataFrame:
    """Table ``selection_candidates`` of one candidate set."""
    rows: Sequence[dict[str, str | int]] = candidates.describe()
    return pd.DataFrame(rows).assign(
        candidate=[f"{name}/{row['candidate']}" for row in rows], candidate_set=name, kind=kind_of(method)
    )


def score_real(
    candidates: Candidates, images: str | Path, support: str | Path, test_ids: Sequence[str], prefix: str
) -> pd.DataFrame:
    """Table ``real_scores``: test images scored with the original bank of every run."""
    runs = read_support(support)
    pool = ImagePool()
    queries = pool.add(read_images(images, test_ids))
    trials = [Trial(run, pool.add(read_images(images, members.bank)), queries) for run, members in runs.items()]
    parts = [
        pd.DataFrame({"run": run, "candidate": f"{prefix}/{name}", "image_id": list(test_ids), "score": values})
        for run, scores in zip(runs, score_trials(candidates, pool.images, trials), strict=True)
        for name, values in scores.items()
    ]
    return pd.concat(parts, ignore_index=True)
