"""Real AUROC of a candidate by benchmark, how well two rankings agree, and what every source chooses.

A choice is the argmax of synthetic AUROC: nothing in it has seen a real anomaly.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from variad.core.errors import UserError
from variad.evaluation.ranking import auroc, rank_resampled

Array = NDArray[Any]

GOOD = "good"
RANDOM, LARGEST, DEFAULT = "random", "largest_backbone", "default"
CONTROLS = (RANDOM, LARGEST, DEFAULT)
SIZE = ["parameters", "depth", "resolution"]


def benchmark_auroc(
    benchmark: str, scores: Array, defects: Array, counts: Array, closest: str = ""
) -> NDArray[np.float64]:
    """AUROC of scores ``[I]`` in D resamples, ``[D]``; NaN where a resample lacks one side.

    - ``defects`` and ``one_vs_rest``: all anomalies together against the normal images.
    - ``one_vs_one``: mean over the other classes (or defects) of the AUROC against each.
    - ``one_vs_closest``: against one of them.

    Args:
        defects: what each image shows, ``[I]``; ``good`` is normal.
        counts: how often each image occurs, ``[D, I]``; a row of ones gives the plain value.
        closest: the class of ``one_vs_closest``.
    """
    names = [closest] if benchmark == "one_vs_closest" else sorted(set(defects.tolist()) - {GOOD})
    if benchmark in ("defects", "one_vs_rest"):
        return _auroc(scores, defects != GOOD, counts)
    return mean_known(np.stack([_against(name, scores, defects, counts) for name in names]))


def mean_known(values: Array) -> NDArray[np.float64]:
    """Mean over the first axis of ``[N, ...]`` without NaN, ``[...]``; NaN where there is nothing else."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))


def closest_class(scores: Sequence[Sequence[Array]], defects: Array) -> str:
    """The class that is hardest to tell from the normal one: the lowest AUROC, averaged over all candidates and runs.

    Mirzaei et al. (2023) take the hardest class of the detector that they judge. Here every candidate has the same
    one, or candidates would be ranked on different tasks. Equal classes: the first by name.

    Args:
        scores: of every run and candidate, ``[I]``.
        defects: as in ``benchmark_auroc``.
    """
    once = np.ones((1, len(defects)))
    names = sorted(set(defects.tolist()) - {GOOD})
    means = [np.mean([_against(name, one, defects, once) for run in scores for one in run]) for name in names]
    return names[int(np.argmin(means))]


def resample_counts(defects: Array, generator: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """How often each image occurs in bootstrap draws, ``[D, I]``; every class keeps its number of images."""
    counts = np.zeros((draws, len(defects)))
    for members in _members(defects):
        counts[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), size=draws)
    return counts


def half_counts(defects: Array, generator: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """Random halves of the images, ``[D, I]`` of 0 and 1; every class is halved (an odd one is left over by turns)."""
    counts = np.zeros((draws, len(defects)))
    for members in _members(defects):
        for draw in range(draws):
            order = generator.permutation(members)
            counts[draw, order[: (len(members) + draw % 2) // 2]] = 1
    return counts


def _members(defects: Array) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(defects == name) for name in sorted(set(defects.tolist()))]


def _against(name: str, scores: Array, defects: Array, counts: Array) -> NDArray[np.float64]:
    chosen = (defects == name) | (defects == GOOD)
    return _auroc(scores[chosen], defects[chosen] == name, counts[:, chosen])


def _auroc(scores: Array, labels: Array, counts: Array) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rank_resampled(scores, labels.astype(np.int64), counts).auroc())


def kendall_tau(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Kendall's τ-b of values ``[..., K]`` and ``[..., K]``, ``[...]``; ties count in neither direction.

    NaN where all values of one side are equal, since then there is no ranking. Equal to ``scipy.stats.kendalltau``.

    Raises:
        ValueError: the last axes differ.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"expected as many values on both sides, found {a.shape[-1]} and {b.shape[-1]}.")
    order_a, order_b = _order_of_pairs(a), _order_of_pairs(b)
    agreement = (order_a * order_b).sum(axis=-1, dtype=np.int64)
    pairs_a, pairs_b = (np.abs(order).sum(axis=-1, dtype=np.int64) for order in (order_a, order_b))
    pairs = pairs_a * pairs_b.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(pairs > 0, agreement / np.sqrt(pairs), np.nan))


def _order_of_pairs(values: Array) -> NDArray[np.int8]:
    """Sign of the difference of each pair of values, ``[..., K (K - 1) / 2]``."""
    one, other = np.triu_indices(values.shape[-1], k=1)
    return np.sign(values[..., one] - values[..., other]).astype(np.int8)


def synthetic_auroc(scores: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """Table ``synthetic_auroc``: validation normals against anomalies, by run, source and candidate.

    Args:
        scores: schema ``synthetic_scores``, of every candidate set.
        candidates: schema ``selection_candidates``, of every candidate set.
    """
    kinds = dict(zip(candidates["candidate"], candidates["kind"], strict=True))
    rows = [
        (run, kinds[candidate], source, candidate, auroc(group["score"], group["label"]))
        for (run, source, candidate), group in scores.groupby(["run", "source", "candidate"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["run", "kind", "source", "candidate", "synthetic_auroc"])


def choose(aurocs: pd.DataFrame, candidates: pd.DataFrame, default: str | None) -> pd.DataFrame:
    """Table ``choices``: an argmax for every run, kind and source, then controls that need no anomalies.

    Candidates that tie for the highest AUROC share the choice in equal weights, so that what it is worth is their mean.
    Controls: ``random`` (all in equal weights, so its worth is the expected one), ``largest_backbone`` (detectors with
    the most parameters, then the deepest layer, then the highest resolution), ``default`` (a fixed detector; of the
    prompts the first).

    Args:
        aurocs: schema ``synthetic_auroc``.
        candidates: schema ``selection_candidates``, of every candidate set.
        default: name of the fixed detector; None for no such control.

    Raises:
        UserError: the default is no candidate.
    """
    parts = []
    for _, group in aurocs.groupby(["run", "kind", "source"], sort=False):
        best: Any = group[group["synthetic_auroc"] == group["synthetic_auroc"].max()]
        first = best.iloc[0]
        parts.append(_shared(first["run"], first["kind"], first["source"], best["candidate"], first["synthetic_auroc"]))
    for run in sorted(set(aurocs["run"])):
        for kind, members in candidates.groupby("kind", sort=False):
            for source, names in _controls(str(kind), members, default).items():
                parts.append(_shared(run, str(kind), source, names, np.nan))
    return pd.concat(parts, ignore_index=True)


def _shared(run: int, kind: str, source: str, names: Sequence[str], value: float) -> pd.DataFrame:
    choice = {"run": run, "kind": kind, "source": source, "candidate": list(names), "synthetic_auroc": value}
    return pd.DataFrame(choice).assign(weight=1 / len(names))


def _controls(kind: str, candidates: pd.DataFrame, default: str | None) -> dict[str, list[str]]:
    names = list(candidates["candidate"])
    if kind == "prompt":
        return {RANDOM: names, DEFAULT: names[:1]}
    sizes = candidates[SIZE].apply(tuple, axis=1)
    found = {RANDOM: names, LARGEST: list(candidates.loc[sizes == max(sizes), "candidate"])}
    if default is not None:
        found[DEFAULT] = [check_candidate("selection.default", default, names)]
    return found


def check_candidate(key: str, name: str, known: Sequence[str]) -> str:
    """The name itself.

    Raises:
        UserError: no candidate has it.
    """
    if name not in known:
        some = ", ".join(list(known)[:4]) + (f", ... ({len(known)} candidates)" if len(known) > 4 else "")
        raise UserError(f"config key {key}: expected a candidate such as {some}, found '{name}'.")
    return name
