"""Unlabelled images that look normal, chosen without any label, to join the shots.

1. ``picture_distances``: how near patches of every picture come to every other picture; of a product that lies at any
   angle at the best of eight turns, so that a rare angle is not taken for a defect.
2. ``shot_scores``, ``mutual_scores``, ``grown_scores``: how unlike the shots, or the other pictures, a picture is.
3. ``kept_by_itself``: where the scores of normal pictures end.
4. ``choose_unlabelled``: all of it, for the candidates of every run.

Copies of a picture are one picture: they count once, do not explain each other, and have one score. A copy of a shot is
known to be good, so it is kept, with score 0, and tells nothing of what others score. Nothing depends on what images
are called or on their order, which could tell labels. Nothing here needs torch on a CPU.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.records import optional_strings, read_image_ids
from variad.selection.picture_distances import (
    FeaturesOfTurned,
    Vectors,
    distance_between,
    grid_patches,
    nearest_at_any_turn,
    nearest_by_image,
    turned_patches,
)
from variad.selection.settings import REFERENCES, TURNED_REFERENCES

Scores = NDArray[np.float64]
Places = NDArray[np.int64]
Score = Literal["shot", "mutual", "both", "rounds"]

EXPLAINED = 0.1  # part of the other pictures that explain a patch; MuSc's 0.3 drops more good pictures
COMPARED = 60  # pictures that say how far two of the pile usually are from each other, at most
FEWEST = 3  # pictures whose scores have a shape; of fewer ``auto`` keeps none
# spreads above the centre of normal scores: where a tail begins, up to where pictures are kept with one, and without
TAIL, CUT, UNCUT = 3.0, 2.0, 4.0
TAIL_SHARE = 0.02  # part of the pictures that makes a tail
GROWN = 0.5  # part of the pictures that joins the shots in rounds, where ``keep`` is left to the scores
_NEGLIGIBLE = 1e-3  # of the middle one; lower scores are those of shots themselves


@dataclass(frozen=True)
class ChoiceSettings:
    """How candidates are chosen, in the config's words.

    Attributes:
        score: ``shot`` (distance to the shots), ``mutual`` (to most of the other candidates, and the shots), ``both``
            (geometric mean of the two) or ``rounds`` (to the shots and to candidates that joined them in rounds).
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
        images, shot_images: the ``images.h5`` of the split that candidates are from, and of the one of the shots.
        features, shot_features: of these splits, by one extractor.
    """

    images: str | Path
    features: str | Path
    shot_images: str | Path
    shot_features: str | Path


def choose_unlabelled(
    pool: pd.DataFrame,
    shots: Mapping[int, Sequence[str]],
    files: ChoiceFiles,
    settings: ChoiceSettings,
    *,
    seed: int,
    key: tuple[str, str],
    device: str = "cpu",
    turned: FeaturesOfTurned | None = None,
) -> pd.DataFrame:
    """Score the candidates of every run, and say which are kept.

    Args:
        pool: which images are candidates of which run (schema ``pool``).
        shots: image_ids by run, in order.
        seed, key: root seed and (data set, category), of the draw of pictures that stand for a large pool.
        device: where to compute; anything but ``cpu`` is torch's.
        turned: features of turned images, of a product that lies at any angle: shots and other pictures then explain a
            candidate at every turn; None compares all as they lie.

    Returns:
        Table ``chosen``, by run and score, the most normal first; empty where no run has a candidate.

    Raises:
        UserError: a candidate without an image.
    """
    if pool.empty:
        return pool.assign(score=0.0, cut=0.0, strangeness=0.0, kept=True)
    pile = _Pile.of(pool, shots, files, seed, key)
    patches = grid_patches(files.features, pile.shown, seed, key)
    most = REFERENCES if turned is None else TURNED_REFERENCES
    compared = _Compared.of(patches, pile.members.values(), settings.score != "shot", most, device)
    first_shots = {run: list(shots[run])[:most] for run in pile.members}
    shot_names = list(dict.fromkeys(name for names in first_shots.values() for name in names))
    shot_patches = grid_patches(files.shot_features, shot_names, seed, key)
    to_shots = as_they_lie = nearest_by_image(patches, shot_patches, device)
    if turned is not None:
        others = [pile.shown[row] for row in compared.references]
        copies = turned_patches(turned, files.images, others, seed, key)
        compared = replace(compared, between=nearest_at_any_turn(compared.between, patches, copies, device))
        copies = turned_patches(turned, files.shot_images, shot_names, seed, key)
        to_shots = nearest_at_any_turn(as_they_lie, patches, copies, device)
    usual, found = distance_between(patches[:COMPARED], device), []
    for run, members in pile.members.items():
        columns = [shot_names.index(name) for name in first_shots[run]]
        scores = _scored(settings, to_shots[members][:, :, columns], *compared.among(members))
        too_few = len(members) < (FEWEST if settings.keep == "auto" else 1)
        strangeness = as_they_lie[members][:, :, columns].min(axis=2).mean(axis=1, dtype=np.float64) / usual
        rows = pile.table(run, scores).assign(cut=0.0 if too_few else cut_of(scores, settings.keep))
        found.append(rows.assign(strangeness=pile.table(run, strangeness)["score"]))
    table = pd.concat(found)
    return table.assign(kept=table["score"] <= table["cut"]).sort_values(["run", "score"], kind="stable")


@dataclass(frozen=True)
class _Pile:
    """The candidates of all runs, and the pictures that they show.

    Attributes:
        names: image_ids of the candidates by run.
        picture: row of the picture that an image shows, by image_id.
        shown: an image_id of each picture, in random order.
        members: pictures of each run but its shots, rows in increasing order.
    """

    names: Mapping[int, Sequence[str]]
    picture: Mapping[str, int]
    shown: Sequence[str]
    members: Mapping[int, Places]

    @classmethod
    def of(
        cls,
        pool: pd.DataFrame,
        shots: Mapping[int, Sequence[str]],
        files: ChoiceFiles,
        seed: int,
        key: tuple[str, ...],
    ) -> "_Pile":
        pixels, of_shot = _pictures(files.images), _pictures(files.shot_images)
        missing = [name for name in pool["image_id"] if name not in pixels]
        if missing:
            raise UserError(f"{files.images}: expected the candidate {missing[0]}, found no such image_id.")
        names = {run: list(pool.loc[pool["run"] == run, "image_id"]) for run in sorted(map(int, pool["run"].unique()))}
        one_of = {pixels[name]: name for name in pool["image_id"]}
        order = {name: row for row, name in enumerate(in_drawn_order(set(one_of), seed, key))}
        picture = {name: order[pixels[name]] for name in pool["image_id"]}
        rows = {run: {picture[name] for name in part} for run, part in names.items()}
        known = {run: {order.get(of_shot[name]) for name in shots[run]} for run in names}
        members = {run: np.array(sorted(rows[run] - known[run]), np.int64) for run in names}
        return cls(names, picture, [one_of[name] for name in order], members)

    def table(self, run: int, scores: Scores) -> pd.DataFrame:
        """The candidates of a run with the scores of its pictures, 0 of its shots."""
        of_picture = dict(zip(self.members[run].tolist(), scores.tolist(), strict=True))
        score = [of_picture.get(self.picture[name], 0.0) for name in self.names[run]]
        return pd.DataFrame({"run": run, "image_id": self.names[run], "score": score})


def _pictures(path: str | Path) -> dict[str, str]:
    """What each image of an ``images.h5`` shows, by image_id."""
    return dict(zip(read_image_ids(path), optional_strings(path, "pixels") or [], strict=True))


def in_drawn_order(pictures: set[str], seed: int, key: tuple[str, ...]) -> list[str]:
    """Hashes of pictures in a random order that depends on nothing but the seed and what they show."""
    return sorted(pictures, key=lambda name: hashlib.sha256("\n".join([str(seed), *key, name]).encode()).digest())


@dataclass(frozen=True)
class _Compared:
    """Pictures compared with each other.

    Attributes:
        between: distance of every patch of N pictures to the nearest one of each reference, ``[N, P, R]``; R = 0 if
            that is not asked for.
        references: which of the pictures they are, ``[R]``, increasing.
        most: references of a run, at most: the first of its members.
    """

    between: Vectors
    references: Places
    most: int

    @classmethod
    def of(cls, patches: Vectors, members: Iterable[Places], wanted: bool, most: int, device: str) -> "_Compared":
        """Compare once for all runs."""
        firsts = [one[:most] for one in members] if wanted else []
        references = np.unique(np.concatenate([np.empty(0, np.int64), *firsts]))
        others = None if len(references) == len(patches) else patches[references]
        return cls(nearest_by_image(patches, others, device), references, most)

    def among(self, members: Places) -> tuple[Vectors, Places]:
        """Distances of a run's members to its references, and the column that is the member itself, -1 for none."""
        mine = np.flatnonzero(np.isin(self.references, members[: self.most]))
        own = np.full(len(members), -1)
        own[: len(mine)] = np.arange(len(mine))
        whole = len(members) == len(self.between) and len(mine) == len(self.references)
        return (self.between if whole else self.between[members[:, None], :, mine].transpose(0, 2, 1)), own


def _scored(settings: ChoiceSettings, to_shots: Vectors, between: Vectors, own: Places) -> Scores:
    """Scores of a run's members from distances to its shots ``[N, P, S]`` and to each other (``_Compared.among``)."""
    if not len(to_shots):
        return np.empty(0)
    if settings.score == "shot":
        return shot_scores(to_shots)
    if settings.score == "rounds":
        share = GROWN if settings.keep == "auto" else settings.keep
        return grown_scores(to_shots, between, own, share, settings.rounds)
    mutual = mutual_scores(np.concatenate([between, to_shots], axis=2), own)
    return mutual if settings.score == "mutual" else np.sqrt(mutual * shot_scores(to_shots))


def shot_scores(to_shots: Vectors) -> Scores:
    """The farthest patch of each picture from the nearest shot: ``[N, P, S]`` (see ``nearest_by_image``) to ``[N]``."""
    return to_shots.min(axis=2).max(axis=1).astype(np.float64)


def mutual_scores(between: Vectors, own: Places, share: float = EXPLAINED) -> Scores:
    """How badly the other pictures explain the worst patch of each (MuSc, ICLR 2024, sections 3.2 and 3.3).

    A patch has the mean of the lowest ``share`` of its distances to the others, so that some of them have to hold
    something like it and one does not suffice (of fewer than 15 others it is the nearest alone, which loses nothing on
    solar cells); a picture has its highest patch.

    Args:
        between: ``[N, P, M]``, see ``nearest_by_image``; M has to be 2 or more.
        own: ``[N]``, which of the M pictures each is itself, -1 for none.

    Returns:
        ``[N]``, higher is more unlike the others.
    """
    scores = np.empty(len(between))
    for row, column in enumerate(own):
        distances = between[row] if column < 0 else np.delete(between[row], column, axis=1)
        count = max(1, round(share * distances.shape[1]))
        lowest = np.partition(distances, count - 1, axis=1)[:, :count]
        scores[row] = lowest.mean(axis=1, dtype=np.float64).max()
    return scores


def grown_scores(to_shots: Vectors, between: Vectors, own: Places, share: float, rounds: int) -> Scores:
    """The farthest patch of each picture from the shots and from those that joined them in rounds.

    In round r of R, the r/R of ``share`` that are nearest to what has joined so far are what has joined from then on.

    Args:
        to_shots: as for ``shot_scores``.
        between, own: as for ``mutual_scores``; no picture explains itself.
    """
    scores, nearest_shot = shot_scores(to_shots), to_shots.min(axis=2)
    for step in range(1, rounds + 1):
        joined = scores <= cut_of(scores, share * step / rounds)
        columns = own[joined & (own >= 0)]
        for row, column in enumerate(own):
            nearest = between[row][:, columns[columns != column]].min(axis=1, initial=np.inf)
            scores[row] = np.minimum(nearest_shot[row], nearest).max()
    return scores


def cut_of(scores: Scores, keep: float | Literal["auto"]) -> float:
    """The highest score ``[N]`` that is kept: of a part of the pictures, or where the scores say by themselves."""
    if keep == "auto":
        return kept_by_itself(scores)
    return float(np.sort(scores)[max(1, round(keep * len(scores))) - 1])


def kept_by_itself(scores: Scores) -> float:
    """Where the scores of normal pictures end, and at least the lower half of all.

    Defects make the upper tail, so centre and spread of the normal part come from what they do not reach: the middle of
    the shortest interval that holds half of the logarithms of scores, and the median distance from it on the side
    below, scaled to the standard deviation of a normal distribution (and a little up where there are few). A tail, that
    is 2 % of the pictures or more above three spreads, is cut at two; where there is none, all up to four are kept:
    to leave out normal pictures costs more than a few defects do.

    Source: the shortest half is Andrews' shorth (1972). The rule and its numbers were chosen among others on categories
    that no table reports.
    """
    lower_half = float(np.sort(scores)[-(-len(scores) // 2) - 1])
    if lower_half == 0:  # copies of shots
        return 0.0
    logs = np.log(np.maximum(scores, lower_half * _NEGLIGIBLE))
    centre = sum(shortest_half(logs)) / 2
    spread = 1.4826 * float(np.median(centre - logs[logs <= centre])) * (1 + 4 / len(logs))
    has_tail = (logs > centre + TAIL * spread).mean() >= TAIL_SHARE
    return max(float(np.exp(centre + (CUT if has_tail else UNCUT) * spread)), lower_half)


def shortest_half(values: Scores) -> tuple[float, float]:
    """The ends of the shortest interval that holds half of the values ``[N]``, N >= 1; of several the lowest."""
    ordered = np.sort(values)
    half = -(-len(ordered) // 2)
    start = int((ordered[half - 1 :] - ordered[: len(ordered) - half + 1]).argmin())
    return float(ordered[start]), float(ordered[start + half - 1])
