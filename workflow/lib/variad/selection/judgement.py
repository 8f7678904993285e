"""What each choice is worth on real data, and how well each source ranks the candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.seeding import numpy_generator
from variad.evaluation.bootstrap import LEVEL
from variad.selection.benchmarks import (
    benchmark_auroc,
    closest_class,
    half_counts,
    kendall_tau,
    mean_known,
    resample_counts,
)

Array = NDArray[Any]

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


def find_closest(scores: pd.DataFrame, defects: Mapping[str, str]) -> str:
    """The class of ``one_vs_closest``: see ``closest_class``; every candidate of every kind counts."""
    test = real_test(scores, defects, sorted(set(scores["candidate"])))
    return closest_class(list(test.scores), test.defects)


def synthetic_test(scores: pd.DataFrame, candidates: Sequence[str]) -> SyntheticScores:
    """Arrays of one source's rows of a table ``synthetic_scores``."""
    values, labels = [], []
    for _, group in scores.groupby("run", sort=True):
        wide = group.pivot(index="candidate", columns="image_id", values="score")
        label = group.drop_duplicates("image_id").set_index("image_id")["label"]
        values.append(wide.loc[list(candidates)].to_numpy())
        labels.append(label[wide.columns].to_numpy())
    return SyntheticScores(values, labels)


def _names(labels: Array) -> Array:
    return np.where(labels == 0, "good", "anomaly")


def _tau(first: Array, second: Array) -> NDArray[np.float64]:
    """``[R, D]`` of AUROCs ``[R, K, D]``."""
    return np.stack([kendall_tau(one.T, other.T) for one, other in zip(first, second, strict=True)])


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan
