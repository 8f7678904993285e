"""Unlabelled images that look normal, chosen without any label, to join the shots.

1. ``grid_patches``: PatchCore's patches of every picture, on a coarse grid.
2. ``nearest_by_image``: how near each of them comes to every other picture.
3. ``shot_scores``, ``mutual_scores``, ``grown_scores``: how unlike the shots, the other pictures or both a picture is.
4. ``kept_by_itself``: where the scores of normal pictures end.
5. ``choose_unlabelled``: all of it, for the candidates of every run.

Copies of a picture are one picture: they count once, do not explain each other, and have one score. Nothing depends on
what images are called or on their order, which could tell labels. Nothing here needs torch on a CPU.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from variad.core.errors import UserError
from variad.core.records import optional_strings, read_features, read_image_ids
from variad.core.seeding import numpy_generator
from variad.detectors.patchcore import BankSearch, embed_patches, random_projection

Vectors = NDArray[np.float32]
Scores = NDArray[np.float64]
Places = NDArray[np.int64]
Score = Literal["shot", "mutual", "both", "rounds"]
Minima = Callable[[Vectors, Vectors, bool], tuple[Vectors, Vectors | None]]

GRID = 14  # positions a side, at most
DIMENSIONS = 512  # of a patch, at most; longer ones are projected
REFERENCES = 300  # pictures, and shots, that the candidates of a run are compared with, at most
EXPLAINED = 0.3  # part of the other pictures that explain a patch (MuSc, section 3.2)
FEWEST = 3  # pictures, for "the others" to mean something
SPREADS = 3.0  # above the mode, where the normal part ends
GROWN = 0.5  # part of the pictures that joins the shots in rounds, where ``keep`` is left to the scores
_READ = 32  # images whose features are in memory at once
_BLOCK, _BLOCK_ON_GPU = 4, 64  # pictures on each side of a product; on a CPU it stays in the cache


@dataclass(frozen=True)
class ChoiceSettings:
    """How candidates are chosen, in the config's words.

    Attributes:
        score: ``shot`` (distance to the shots), ``mutual`` (to the other candidates), ``both`` (mean of the two ranks)
            or ``rounds`` (to the shots and to candidates that joined them in rounds).
        keep: part of the pictures that is kept, 0 < keep <= 1, or ``auto``.
        rounds: in how many rounds candidates join the shots, of score ``rounds``.
    """

    score: Score = "mutual"
    keep: float | Literal["auto"] = "auto"
    rounds: int = 3

    def __post_init__(self) -> None:
        if self.score not in get_args(Score):
            raise UserError(f"score: expected one of {', '.join(get_args(Score))}, found {self.score!r}.")
        if self.keep != "auto" and not 0 < self.keep <= 1:
            raise UserError(f"keep: expected auto, or a part above 0 and at most 1, found {self.keep}.")
        if self.rounds < 1:
            raise UserError(f"rounds: expected at least 1, found {self.rounds}.")


@dataclass(frozen=True)
class ChoiceFiles:
    """What a choice sees of images: which are copies of a picture, and their features.

    Attributes:
        images: the ``images.h5`` of the split that candidates are from.
        features, shot_features: of that split, and of the one that shots are from.
        layers: which features describe a patch.
    """

    images: str | Path
    features: str | Path
    shot_features: str | Path
    layers: Sequence[str]


def choose_unlabelled(
    pool: pd.DataFrame,
    shots: Mapping[int, Sequence[str]],
    files: ChoiceFiles,
    settings: ChoiceSettings,
    *,
    seed: int,
    key: tuple[str, str],
    device: str = "cpu",
) -> pd.DataFrame:
    """Score the candidates of every run, and say which are kept.

    Args:
        pool: which images are candidates of which run (schema ``pool``).
        shots: image_ids by run, in order.
        seed, key: root seed and (data set, category), of the draw of pictures that stand for a large pool.
        device: where to compute; anything but ``cpu`` is torch's.

    Returns:
        Table ``chosen``, by run and score, the most normal first; empty where no run has a candidate.

    Raises:
        UserError: a candidate without an image, or too few for a score that compares them with each other.
    """
    if pool.empty:
        return pool.assign(score=0.0, cut=0.0, kept=True)
    picture = _pictures(files.images, list(pool["image_id"]))
    distinct = in_drawn_order(set(picture.values()), seed, key)
    row = {name: place for place, name in enumerate(distinct)}
    first = {picture[name]: name for name in reversed(list(picture))}
    patches = grid_patches(files.features, files.layers, [first[name] for name in distinct], seed, key)
    runs = {run: list(pool.loc[pool["run"] == run, "image_id"]) for run in sorted({int(run) for run in pool["run"]})}
    members = {run: np.unique([row[picture[name]] for name in names]) for run, names in runs.items()}
    if settings.score != "shot" and (few := [len(one) for one in members.values() if len(one) < FEWEST]):
        raise UserError(
            f"{'/'.join(key)}: expected at least {FEWEST} different unlabelled images for score {settings.score}, "
            f"found {few[0]}; add some, or set score: shot."
        )
    compared = _Compared.of(patches, members.values(), settings.score != "shot", device)
    found = []
    for run, names in runs.items():
        needed = [] if settings.score == "mutual" else list(shots[run])[:REFERENCES]
        shot_patches = grid_patches(files.shot_features, files.layers, needed, seed, key)
        scores, cut = _scored(compared, members[run], shot_patches, settings, device)
        of_picture = dict(zip(members[run].tolist(), scores.tolist(), strict=True))
        score = [of_picture[row[picture[name]]] for name in names]
        found.append(pd.DataFrame({"run": run, "image_id": names, "score": score, "cut": cut}))
    table = pd.concat(found)
    return table.assign(kept=table["score"] <= table["cut"]).sort_values(["run", "score"], kind="stable")


def _pictures(images: str | Path, wanted: Sequence[str]) -> dict[str, str]:
    """What each image shows, by image_id: the hash of its pixels."""
    known = dict(zip(read_image_ids(images), optional_strings(images, "pixels") or [], strict=True))
    missing = [name for name in wanted if name not in known]
    if missing:
        raise UserError(f"{images}: expected the candidate {missing[0]}, found no such image_id.")
    return {name: known[name] for name in wanted}


def in_drawn_order(pictures: set[str], seed: int, key: tuple[str, ...]) -> list[str]:
    """Hashes of pictures in a random order that depends on nothing but the seed and what they show."""
    return sorted(pictures, key=lambda name: hashlib.sha256("\n".join([str(seed), *key, name]).encode()).digest())


@dataclass(frozen=True)
class _Compared:
    """Pictures compared with each other.

    Attributes:
        patches: of N pictures, ``[N, P, D]``.
        between: distance of every patch to the nearest one of each reference, ``[N, P, R]``; R = 0 if not asked for.
        references: which of the pictures they are, ``[R]``, increasing.
    """

    patches: Vectors
    between: Vectors
    references: Places

    @classmethod
    def of(cls, patches: Vectors, members: Iterable[Places], wanted: bool, device: str) -> "_Compared":
        """Compare once for all runs: the references of each are the first of its members."""
        firsts = [one[:REFERENCES] for one in members] if wanted else []
        references = np.unique(np.concatenate([np.empty(0, np.int64), *firsts]))
        others = None if len(references) == len(patches) else patches[references]
        return cls(patches, nearest_by_image(patches, others, device), references)

    def among(self, members: Places) -> tuple[Vectors, Places]:
        """Distances of a run's members to its references, and the column that is the member itself, -1 for none."""
        mine = np.flatnonzero(np.isin(self.references, members[:REFERENCES]))
        own = np.full(len(members), -1)
        own[: len(mine)] = np.arange(len(mine))
        whole = len(members) == len(self.between) and len(mine) == len(self.references)
        return (self.between if whole else self.between[members[:, None], :, mine].transpose(0, 2, 1)), own


def _scored(
    compared: _Compared, members: Places, shot_patches: Vectors, settings: ChoiceSettings, device: str
) -> tuple[Scores, float]:
    """Scores of a run's members, and the cut."""
    if settings.score == "mutual":
        scores = mutual_scores(*compared.among(members))
        return scores, cut_of(scores, settings.keep)
    to_shots = nearest_of_all(compared.patches[members], shot_patches, device)
    if settings.score == "shot":
        scores = shot_scores(to_shots)
        return scores, cut_of(scores, settings.keep)
    between, own = compared.among(members)
    if settings.score == "rounds":
        share = GROWN if settings.keep == "auto" else settings.keep
        scores = grown_scores(to_shots, between, own, share, settings.rounds)
        return scores, cut_of(scores, settings.keep)
    # ranks have no shape of their own: as many are kept as the mutual scores alone would keep
    mutual = mutual_scores(between, own)
    keep = float((mutual <= cut_of(mutual, settings.keep)).mean())
    scores = (rankdata(shot_scores(to_shots)) + rankdata(mutual)) / (2 * len(members))
    return scores, cut_of(scores, keep)


def grid_patches(
    features: str | Path, layers: Sequence[str], image_ids: Sequence[str], seed: int, key: tuple[str, ...]
) -> Vectors:
    """PatchCore's patches, averaged to at most 14 x 14 positions and projected to at most 512 dimensions.

    Returns:
        float32 ``[N, P, D]`` of the images asked for, in that order.

    Raises:
        UserError: features of an image or layer that are not there.
    """
    row = {name: place for place, name in enumerate(read_image_ids(features))}
    missing = [name for name in image_ids if name not in row]
    if missing:
        raise UserError(f"{features}: expected features of image {missing[0]}, found no such image_id.")
    parts = []
    for start in range(0, max(1, len(image_ids)), _READ):
        rows = [row[name] for name in image_ids[start : start + _READ]]
        maps = embed_patches(read_features(features, layers, rows))
        count, height, width, channels = maps.shape
        down, across = _averages(height), _averages(width)
        coarse = np.einsum(
            "hi,niwc->nhwc", down, np.einsum("wj,nijc->niwc", across, maps, optimize=True), optimize=True
        )
        flat = coarse.reshape(-1, channels)
        # one matrix for every part and call, so that all lie in one space
        short = random_projection(flat, DIMENSIONS, numpy_generator(seed, *key, "unlabelled"))
        parts.append(short.reshape(count, len(down) * len(across), short.shape[1]))
    return np.concatenate(parts)


def _averages(side: int) -> Vectors:
    """The matrix ``[min(side, 14), side]`` of means over neighbouring positions, as adaptive average pooling has it."""
    target = min(side, GRID)
    matrix = np.zeros((target, side), np.float32)
    for place in range(target):
        start, end = place * side // target, -(-(place + 1) * side // target)
        matrix[place, start:end] = 1 / (end - start)
    return matrix


def nearest_by_image(patches: Vectors, others: Vectors | None = None, device: str = "cpu") -> Vectors:
    """Euclidean distance of every patch to the nearest one of each other picture.

    Args:
        patches: ``[N, P, D]``.
        others: ``[M, Q, D]``; None compares the pictures among themselves, in half the products.

    Returns:
        float32 ``[N, P, M]``; the distance to a picture's own patches is among them, and about 0.
    """
    symmetric, others = others is None, patches if others is None else others
    found = np.empty((len(patches), patches.shape[1], len(others)), np.float32)
    if not found.size:
        return found
    # |q - m|^2 = (q, 1, |q|^2) . (-2 m, |m|^2, 1): one product; centred vectors keep the cancellation small
    centre = others.mean(axis=(0, 1))
    queries, bank = patches - centre, others - centre
    squares, norms = np.square(queries).sum(axis=2), np.square(bank).sum(axis=2)
    queries = np.concatenate([queries, np.ones_like(squares)[..., None], squares[..., None]], axis=2)
    bank = np.concatenate([-2 * bank, norms[..., None], np.ones_like(norms)[..., None]], axis=2)
    minima, size = (_minima, _BLOCK) if device == "cpu" else (_minima_with_torch(device), _BLOCK_ON_GPU)
    for start in range(0, len(queries), size):
        for begin in range(start if symmetric else 0, len(bank), size):
            here, there = slice(start, start + size), slice(begin, begin + size)
            found[here, :, there], back = minima(queries[here], bank[there], symmetric)
            if symmetric:
                found[there, :, here] = back
    return np.sqrt(np.maximum(found, 0, out=found), out=found)


def _minima(queries: Vectors, bank: Vectors, both: bool) -> tuple[Vectors, Vectors | None]:
    """Least squared distances of n pictures' patches to each of m others, ``[n, P, m]``, and the other way round."""
    products = np.dot(bank.reshape(-1, bank.shape[-1]), queries.reshape(-1, queries.shape[-1]).T)
    products = products.reshape(*bank.shape[:2], *queries.shape[:2])
    return products.min(axis=1).transpose(1, 2, 0), products.min(axis=3) if both else None


def _minima_with_torch(device: str) -> Minima:
    """The same on a GPU."""
    import torch

    def minima(queries: Vectors, bank: Vectors, both: bool) -> tuple[Vectors, Vectors | None]:
        near, far = (torch.from_numpy(part).to(device) for part in (queries, bank))
        products = (far.flatten(0, 1) @ near.flatten(0, 1).T).reshape(*far.shape[:2], *near.shape[:2])
        forth = products.amin(dim=1).permute(1, 2, 0).cpu().numpy()
        return forth, products.amin(dim=3).cpu().numpy() if both else None

    return minima


def nearest_of_all(patches: Vectors, others: Vectors, device: str = "cpu") -> Vectors:
    """Distance of every patch ``[N, P, D]`` to the nearest one of all other pictures ``[M, Q, D]``: ``[N, P]``."""
    search = BankSearch(np.ascontiguousarray(others.reshape(-1, others.shape[-1])), device)
    return search.nearest(np.ascontiguousarray(patches.reshape(-1, patches.shape[-1])))[0].reshape(patches.shape[:2])


def shot_scores(to_shots: Vectors) -> Scores:
    """The farthest patch of each picture from the shots: ``[N, P]`` to ``[N]``."""
    return to_shots.max(axis=1).astype(np.float64)


def mutual_scores(between: Vectors, own: Places, share: float = EXPLAINED) -> Scores:
    """How badly the other pictures explain the worst patch of each (MuSc, ICLR 2024, sections 3.2 and 3.3).

    A patch has the mean of the lowest ``share`` of its distances to the others, so that many of them have to hold
    something like it; a picture has its highest patch.

    Args:
        between: ``[N, P, M]``, see ``nearest_by_image``.
        own: ``[N]``, which of the M pictures each is itself, -1 for none; M has to be 2 or more.

    Returns:
        ``[N]``, higher is more unlike the others.
    """
    scores = np.empty(len(between))
    for row, column in enumerate(own):
        distances = between[row] if column < 0 else np.delete(between[row], column, axis=1)
        count = max(1, int(share * distances.shape[1]))
        lowest = np.partition(distances, count - 1, axis=1)[:, :count]
        scores[row] = lowest.mean(axis=1, dtype=np.float64).max()
    return scores


def grown_scores(to_shots: Vectors, between: Vectors, own: Places, share: float, rounds: int) -> Scores:
    """The farthest patch of each picture from the shots and from those that joined them in rounds.

    In round r of R, the r/R of ``share`` that are nearest to what has joined so far are what has joined from then on.

    Args:
        to_shots: ``[N, P]``.
        between, own: as for ``mutual_scores``; no picture explains itself.
    """
    scores = shot_scores(to_shots)
    for step in range(1, rounds + 1):
        joined = scores <= cut_of(scores, share * step / rounds)
        columns = own[joined & (own >= 0)]
        for row, column in enumerate(own):
            nearest = between[row][:, columns[columns != column]].min(axis=1, initial=np.inf)
            scores[row] = np.minimum(to_shots[row], nearest).max()
    return scores


def cut_of(scores: Scores, keep: float | Literal["auto"]) -> float:
    """The highest score ``[N]`` that is kept: of a part of the pictures, or where the scores say by themselves."""
    if keep == "auto":
        return kept_by_itself(scores)
    return float(np.sort(scores)[max(1, round(keep * len(scores))) - 1])


def kept_by_itself(scores: Scores) -> float:
    """Where the scores of normal pictures end: three spreads above their mode, and never below the median.

    Defects make the upper tail, so mode and spread come from what they do not reach: the half-sample mode, and the
    median distance from it on the side below, scaled to the standard deviation of a normal distribution. At least half
    is kept, since a pile that is worse than that has no normal part to be found.
    """
    mode = half_sample_mode(scores)
    spread = 1.4826 * float(np.median(mode - scores[scores <= mode]))
    return max(mode + SPREADS * spread, float(np.median(scores)))


def half_sample_mode(values: Scores) -> float:
    """Where values ``[N]``, N >= 1, are densest: the closest half of the closest half, and so on.

    Source: Bickel and Fruehwirth, On a fast, robust estimator of the mode (2006).
    """
    left = np.sort(values)
    while len(left) > 3:
        half = -(-len(left) // 2)
        start = int((left[half - 1 :] - left[: len(left) - half + 1]).argmin())
        left = left[start : start + half]
    if len(left) == 3 and left[1] - left[0] != left[2] - left[1]:
        left = left[:2] if left[1] - left[0] < left[2] - left[1] else left[1:]
    return float(left.mean()) if len(left) < 3 else float(left[1])
