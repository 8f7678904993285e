"""What each choice is worth on real data, and how well each source ranks the candidates.

Real AUROC by benchmark, of bootstrap draws and halves too, and how well two rankings agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from variad.core.seeding import numpy_generator
from variad.evaluation.bootstrap import LEVEL
from variad.evaluation.ranking import rank_resampled
from variad.selection.settings import CONTROLS

Array = NDArray[Any]

GOOD = "good"
DRAWS = 1000
SPLITS = 200


@dataclass(frozen=True)
class RealTest:
    """Real scores of one kind of candidates.

    Attributes:
        candidates: K names; scores: ``[R, K, I]``; defects: what each image shows, ``[I]``.
        closest: class of ``one_vs_closest``.
    """

    candidates: Sequence[str]
    scores: Array
    defects: Array
    closest: str = ""

    def auroc(self, benchmark: str, counts: Array) -> NDArray[np.float64]:
        """``[R, K, D]`` for D rows of counts; see ``benchmark_auroc``."""
        runs = [
            [benchmark_auroc(benchmark, one, self.defects, counts, self.closest) for one in run] for run in self.scores
        ]
        return np.stack(runs)


@dataclass(frozen=True)
class SyntheticScores:
    """Synthetic scores of one source: of every run ``[K, J]``, and labels ``[J]``."""

    scores: Sequence[Array]
    labels: Sequence[Array]

    def auroc(self) -> NDArray[np.float64]:
        """``[R, K]``."""
        return self._auroc([np.ones((1, len(labels))) for labels in self.labels])[..., 0]

    def draws(self, generator: np.random.Generator, draws: int) -> NDArray[np.float64]:
        """``[R, K, D]``: validation normals and anomalies resampled."""
        return self._auroc([resample_counts(_names(labels), generator, draws) for labels in self.labels])

    def _auroc(self, counts: Sequence[Array]) -> NDArray[np.float64]:
        runs = zip(self.scores, self.labels, counts, strict=True)
        return np.stack(
            [[benchmark_auroc("defects", one, _names(labels), n) for one in run] for run, labels, n in runs]
        )


@dataclass(frozen=True)
class JudgedSource:
    """One source on one benchmark: means over runs.

    Attributes:
        row: of the schema ``judged`` without data set and category.
        tau_draws: bootstrap draws of tau, ``[D]``; empty where there is no ranking.
    """

    row: dict[str, Any]
    tau_draws: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def judge_category(
    benchmarks: Sequence[str],
    candidates: pd.DataFrame,
    choices: pd.DataFrame,
    synthetic: pd.DataFrame,
    real: pd.DataFrame,
    defects: Mapping[str, str],
    key: tuple[str | int, ...],
) -> tuple[list[JudgedSource], pd.DataFrame]:
    """Judge every benchmark, kind and source of a category, and give the points of figures 4 and 5.

    Args:
        candidates, choices, synthetic, real: schemas ``selection_candidates``, ``choices``, ``synthetic_scores``,
            ``real_scores``, of every candidate set.
        defects: of ``real_defects``.
        key: root seed, data set, category.
    """
    closest, found, points = "", [], []
    if "one_vs_closest" in benchmarks:  # every candidate of every kind counts
        whole = real_test(real, defects, sorted(set(real["candidate"])))
        closest = closest_class(list(whole.scores), whole.defects)
    for kind, members in candidates.groupby("kind", sort=False):
        names = list(members["candidate"])
        test = real_test(real[real["candidate"].isin(names)], defects, names, closest)
        scored = synthetic[synthetic["candidate"].isin(names)]
        sources = {str(name): synthetic_test(rows, names) for name, rows in scored.groupby("source", sort=False)}
        weights = choice_weights(choices[choices["kind"] == kind], names)
        for benchmark in benchmarks:
            judged, values = judge(benchmark, str(kind), test, sources, weights, key)
            found += judged
            place = {"benchmark": benchmark, "run": np.repeat(np.arange(len(values)), len(names)), "kind": kind}
            for source, one in sources.items():
                aurocs = {"synthetic_auroc": one.auroc().ravel(), "real_auroc": values.ravel()}
                columns = {**place, "source": source, "candidate": names * len(values), **aurocs}
                points.append(pd.DataFrame(columns))
    return found, pd.concat(points, ignore_index=True)


def choice_weights(choices: pd.DataFrame, candidates: Sequence[str]) -> dict[str, Array]:
    """What each source chose, ``[R, K]``: sources as they come, then the controls."""
    table = choices.pivot_table(index=["source", "run"], columns="candidate", values="weight", fill_value=0.0)
    table = table.reindex(columns=list(candidates), fill_value=0.0)
    order = list(dict.fromkeys(choices["source"]))
    order = [name for name in order if name not in CONTROLS] + [name for name in CONTROLS if name in order]
    return {name: table.loc[name].sort_index().to_numpy() for name in order}


def judge(
    benchmark: str,
    kind: str,
    real: RealTest,
    synthetic: Mapping[str, SyntheticScores],
    weights: Mapping[str, Array],
    key: tuple[str | int, ...],
    draws: int = DRAWS,
    splits: int = SPLITS,
) -> tuple[list[JudgedSource], NDArray[np.float64]]:
    """Judge every source; the real AUROC ``[R, K]`` comes with it.

    Args:
        synthetic: by source.
        weights: what each source (and each control) chose, ``[R, K]``, each row adds up to 1.
        key: root seed, data set, category: for random numbers.
    """

    def generator(*purpose: str) -> np.random.Generator:
        return numpy_generator(int(key[0]), *key[1:], *purpose, benchmark)

    halves = half_counts(real.defects, generator("halves"), splits)
    values = real.auroc(benchmark, np.ones((1, len(real.defects))))[..., 0]
    drawn = real.auroc(benchmark, resample_counts(real.defects, generator("real"), draws))
    common: dict[str, Any] = {
        "benchmark": benchmark,
        "closest": real.closest if benchmark == "one_vs_closest" else "",
        "kind": kind,
        "default": float((values * weights["default"]).sum(axis=1).mean()) if "default" in weights else np.nan,
        "half_split_tau": _mean(_tau(real.auroc(benchmark, halves), real.auroc(benchmark, 1 - halves))),
    }
    found = []
    for source, chosen in weights.items():
        tau, tau_draws = np.nan, np.zeros(0)
        if source in synthetic:
            tau = _mean(kendall_tau(synthetic[source].auroc(), values))
            made = synthetic[source].draws(generator("synthetic", source, kind), draws)
            tau_draws = mean_known(_tau(made, drawn))
        low, high = tau_interval(tau, tau_draws)
        row = {**common, "source": source, **worth(values, chosen), "tau": tau, "tau_low": low, "tau_high": high}
        found.append(JudgedSource(row, tau_draws))
    return found, values


def worth(values: Array, chosen: Array) -> dict[str, float | int]:
    """What choices with weights ``[R, K]`` are worth on real AUROC ``[R, K]``: means over runs.

    ``selected`` is the AUROC of the choice, ``oracle`` that of the best candidate of each run, ``average`` that of all
    candidates, ``regret`` the oracle less the selected, ``best_picked`` the share of runs in which the best was chosen.
    """
    oracle = values.max(axis=1)
    selected = np.minimum((values * chosen).sum(axis=1), oracle)  # rounding of the weights must not beat the best
    best = (chosen * (values == oracle[:, None])).sum(axis=1)
    return {
        "runs": len(values),
        "candidates": values.shape[1],
        "selected": float(selected.mean()),
        "oracle": float(oracle.mean()),
        "average": float(values.mean()),
        "regret": float((oracle - selected).mean()),
        "best_picked": min(1.0, float(best.mean())),
    }


def tau_interval(tau: float, draws: Array, level: float = LEVEL) -> tuple[float, float]:
    """About a ``level`` interval of the tau that unlimited images would give, of bootstrap draws ``[D]``; NaN without.

    Noise of AUROC flips pairs of candidates that are close, about in proportion to its standard deviation, and so pulls
    tau towards 0: the estimate lies below the truth, and draws, whose noise is the square root of two times as large,
    below the estimate. So there are two estimates, the plain one and the one that the draws point to at no noise; the
    interval reaches from the lower less, to the higher plus, the larger half-width of the draws.

    Where 95 % are asked for it covers 84 to 99 % (median 92) in simulations of 10 to 42 candidates in one run or the
    mean of three, as long as half-split tau is 0.45 or more, on the synthetic side too, and the source does not rank
    exactly as reality does; where it does, 54 to 84 %. With a half-split tau of 0.2, which is candidates that differ by
    no more than their noise, it covers 10 to 85 %. The percentile interval covers 0 to 97 %.
    """
    known = draws[np.isfinite(draws)]
    if not known.size or not np.isfinite(tau):
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    mean = known.mean()
    width = max(high - mean, mean - low)
    noiseless = tau + (1 + np.sqrt(2)) * (tau - mean)
    return max(-1.0, float(min(tau, noiseless) - width)), min(1.0, float(max(tau, noiseless) + width))


def real_test(
    scores: pd.DataFrame, defects: Mapping[str, str], candidates: Sequence[str], closest: str = ""
) -> RealTest:
    """Arrays of a table ``real_scores``.

    Args:
        defects: what each test image shows, by image_id, in the order of the result.
    """
    wide = scores.pivot(index=["run", "candidate"], columns="image_id", values="score")[list(defects)]
    runs = sorted(set(scores["run"]))
    values = np.stack([[wide.loc[(run, name)].to_numpy() for name in candidates] for run in runs])
    return RealTest(candidates, values, np.asarray(list(defects.values())), closest)


def synthetic_test(scores: pd.DataFrame, candidates: Sequence[str]) -> SyntheticScores:
    """Arrays of one source's rows of a table ``synthetic_scores``."""
    values, labels = [], []
    for _, group in scores.groupby("run", sort=True):
        wide = group.pivot(index="candidate", columns="image_id", values="score")
        label = group.drop_duplicates("image_id").set_index("image_id")["label"]
        values.append(wide.loc[list(candidates)].to_numpy())
        labels.append(label[wide.columns].to_numpy())
    return SyntheticScores(values, labels)


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


def _names(labels: Array) -> Array:
    return np.where(labels == 0, GOOD, "anomaly")


def _tau(first: Array, second: Array) -> NDArray[np.float64]:
    """``[R, D]`` of AUROCs ``[R, K, D]``."""
    return np.stack([kendall_tau(one.T, other.T) for one, other in zip(first, second, strict=True)])


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan
