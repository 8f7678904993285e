"""Photographs scored by detectors that saw nothing of them: no image vouches for itself, and a threshold is a fair one.

What a detector was fitted on it finds normal, whatever it shows. So an unlabelled photograph that was added to the
shots would hide its own defect, and the scores of training images say nothing about those of new ones. Here whole
*families* are left out in turn: a picture, its copies, and everything that was made from it.

A fold's detector sees at least four fifths of the families (one less of few), so its scores are a little above those of
the model, which sees all: the threshold, and the rank of photographs in the training set, err to the careful side.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.files import writing
from variad.core.records import optional_strings, read_image_ids, read_images
from variad.core.shortages import new_hdf5
from variad.detectors.anomaly_map import MapSize, full_size_map
from variad.detectors.interface import Detector, DetectorInput, Extractor, Scored
from variad.detectors.scoring import TestSet, joined, score_images
from variad.detectors.training import CellFiles, Features, accepted_rows, candidates_of, parents_of, training_input
from variad.generation.added import read_added

FOLDS = 5  # at most
Fit = Callable[[DetectorInput], Detector]
Families = Mapping[str, str]  # of photographs, by image_id


@dataclass(frozen=True)
class CandidateFiles:
    """Where a split of photographs lies that are no training images: its ``images.h5`` and its features."""

    images: str | Path
    features: Features


class HeldOut(NamedTuple):
    """N images that were scored by detectors that saw nothing of them.

    Attributes:
        image_ids: of photographs; empty for what was made from the only picture.
        known_good: whether somebody has said that the image is good: shots, and what was made of them.
        trained_on: whether the model saw it, or a copy of it.
        peaks: float64 ``[N]``, of ``peaks_of``.
    """

    image_ids: list[str]
    known_good: NDArray[np.bool_]
    trained_on: NDArray[np.bool_]
    scored: Scored
    peaks: NDArray[np.float64]

    def table(self) -> pd.DataFrame:
        """Table ``held_out_scores``."""
        told = {"image_id": self.image_ids, "known_good": self.known_good, "trained_on": self.trained_on}
        return pd.DataFrame({**told, "score": self.scored.scores.astype(float), "peak": self.peaks})


def score_held_out(
    create: Callable[[], Detector],
    cell: CellFiles,
    shots: Sequence[str],
    extractor: Extractor,
    pools: Sequence[CandidateFiles],
    generator: np.random.Generator,
    run: int = 0,
) -> HeldOut:
    """Score every photograph of a training set, other candidates for it, and copies in the pool, as if all were new.

    Candidates that were not accepted are scored by the same folds' detectors, for a threshold from the accepted ones
    alone would be one from those that look most normal.

    With several families there are folds of them. A single one has to stay: then what was made from its picture is held
    out in two halves, and nothing is where there is nothing but the picture and copies of it.

    Args:
        create: makes an unfitted detector.
        pools: where the recipe's candidates are from, and copies of them that are to be predicted; empty for a recipe
            that takes no photographs.
        generator: draws every random number of the trainings, one after another.
    """
    parents = parents_of(cell, run, shots)
    picture = read_pictures([cell.images, *(pool.images for pool in pools)])
    families = [picture[name] for name in parents]
    known, candidates = set(families), candidates_of(cell, run)

    def fit(training: DetectorInput) -> Detector:
        detector = create()
        detector.fit(training, generator)
        return detector

    training = training_input(cell, run, shots, create().uses_images)
    if len(known) == 1:
        scored = score_in_halves(fit, training, _made(cell, run, shots))
        made = np.ones(len(scored.scores), bool)
        return HeldOut([""] * len(made), made, made, scored, peaks_of(scored, extractor, create().map_sigma))
    splits = [_photographs(cell.images, cell.features, extractor, set(parents))]
    for pool in pools:
        # not only those that were added: a copy of one would be vouched for as well
        candidates |= {name for name in read_image_ids(pool.images) if picture[name] in known}
        splits.append(_photographs(pool.images, pool.features, extractor, candidates))
    names, scored = score_in_folds(fit, training, families, splits, picture)
    good = set(splits[0].image_ids)
    known_good, trained_on = [name in good for name in names], [picture[name] in known for name in names]
    peaks = peaks_of(scored, extractor, create().map_sigma)
    return HeldOut(names, np.array(known_good, bool), np.array(trained_on, bool), scored, peaks)


def peaks_of(scored: Scored, extractor: Extractor, sigma: float) -> NDArray[np.float64]:
    """The highest value ``[N]`` of each map, smoothed and at the extractor's resolution.

    At no other size is a map higher anywhere, so these are what a photograph's pixels are compared with.
    """
    side = extractor.resolution
    size = MapSize(side, side, side, extractor.crop, sigma)
    return np.array([full_size_map(patch_map, size).max() for patch_map in scored.maps], np.float64)


def _made(cell: CellFiles, run: int, shots: Sequence[str]) -> list[int]:
    """Rows of the training images that are no copies of the one picture that they were made from.

    Whatever saw the picture saw its copy, whose score would be about 0, and so would a threshold.
    """
    picture, added = read_images(cell.images, shots[:1])[0], read_added(cell.added)
    pictures = added.pictures(accepted_rows(cell, run))
    return [len(shots) + row for row, image in enumerate(pictures) if (image != picture).any()]


def _photographs(images: str | Path, features: Features, extractor: Extractor, wanted: Collection[str]) -> TestSet:
    rows = pd.DataFrame({"image_id": [name for name in read_image_ids(images) if name in wanted]})
    return TestSet(rows, images, features, extractor.layers, extractor.resolution, extractor.crop)


def read_pictures(paths: Sequence[str | Path]) -> dict[str, str]:
    """What each image of several ``images.h5`` shows, by image_id: copies of a picture have the same name."""
    return {
        name: picture
        for path in paths
        for name, picture in zip(read_image_ids(path), optional_strings(path, "pixels") or (), strict=True)
    }


def folds(families: Sequence[str]) -> Iterator[set[str]]:
    """The families that are left out together, in at most five folds; none where there is one family alone."""
    names = list(dict.fromkeys(families))
    if len(names) > 1:
        yield from (set(names[part::FOLDS]) for part in range(min(FOLDS, len(names))))


def score_in_folds(
    fit: Fit, training: DetectorInput, families: Sequence[str], photographs: Sequence[TestSet], family: Families
) -> tuple[list[str], Scored]:
    """Score photographs, each once, by a detector that saw nothing of its family.

    Args:
        fit: makes a detector and fits it.
        training: the N images that the model is fitted on, of at least two families.
        families: ``[N]``, of each of them.
        photographs: what is to be scored, of each split.
        family: of a photograph, by image_id; one that is not among ``families`` has its place in a fold as well.

    Returns:
        image_ids, fold by fold, and their scores.
    """
    names: list[str] = []
    parts = []
    # those trained on first, so that no fold leaves out all of them
    for out in folds([*families, *(family[name] for split in photographs for name in split.image_ids)]):
        detector = fit(training.rows([row for row, name in enumerate(families) if name not in out]))
        for split in photographs:
            held = replace(split, rows=split.rows[[family[name] in out for name in split.image_ids]])
            if held.image_ids:
                names += held.image_ids
                parts.append(score_images(detector, held))
    return names, joined(parts)


def score_in_halves(fit: Fit, training: DetectorInput, made: Sequence[int]) -> Scored:
    """Score what was made from a single picture, half of it by a detector that saw the picture and the other half.

    Args:
        training: the picture and what was made from it.
        made: which rows are to be scored.
    """
    count = len(next(iter(training.features.values())))
    parts = []
    for part in range(min(2, len(made))):
        held = list(made[part::2])
        kept = [row for row in range(count) if row not in held]
        parts.append(fit(training.rows(kept)).score(training.rows(held)))
    return joined(parts)


def write_held_out_maps(path: str | Path, held_out: HeldOut) -> None:
    """Write ``held_out_maps.h5``, of photographs that the model saw and nobody has said to be good.

    See ``docs/data_contracts.md``.
    """
    rows = np.flatnonzero(held_out.trained_on & ~held_out.known_good)
    with writing(path) as temporary, new_hdf5(temporary) as file:
        file.create_dataset("image_id", data=[held_out.image_ids[row] for row in rows], dtype=h5py.string_dtype())
        file["score"], file["maps"] = held_out.scored.scores[rows], held_out.scored.maps[rows]


def with_held_out(scored: Scored, image_ids: Sequence[str], path: str | Path) -> tuple[Scored, NDArray[np.bool_]]:
    """A model's scores and maps ``[N]``, with those of ``held_out_maps.h5`` for images that it saw; which these are."""
    row = {name: number for number, name in enumerate(image_ids)}
    replaced = np.zeros(len(image_ids), bool)
    with h5py.File(path) as file:
        found = [(row[name], place) for place, name in enumerate(file["image_id"].asstr()[:]) if name in row]
        scores, maps = scored.scores.copy(), scored.maps.copy()
        for number, place in found:
            scores[number], maps[number], replaced[number] = file["score"][place], file["maps"][place], True
    return Scored(scores, maps), replaced
