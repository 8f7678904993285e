"""Good, look at it, or bad: thresholds from good photographs alone, in words that say how far they can be believed.

A detector's score has a unit of its own. Held-out scores (``detectors.held_out``) give it a meaning: what share of good
photographs has a lower one. Two of their quantiles are thresholds, and a third comes from the peaks of their maps, for
regions. How many good photographs a threshold will call bad is then not known, but it has an exact interval, which is
wide where few were held out. Numbers alone: nothing here needs torch or pandas.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from variad.evaluation.ranking import fewest_mistakes

Answer = Literal["good", "look", "bad"]
Scores = NDArray[np.float64]
QUANTILES = (0.95, 0.99)  # above which to look at a photograph, and above which it is bad
CONFIDENCE = 0.95
SIGNIFICANT = 0.01  # p-value below which scores have moved
DEFECTS = 0.2  # share of a folder that may be defects without being taken for drift
FEWEST, FEWEST_HELD_OUT, FEWEST_FOR_LOWER = 8, 5, 30  # scores that a comparison takes
SEEN = "seen in training, so that its score says little"  # a remark on a photograph
OUTLIER = 3.0  # robust standard deviations above the median
_NORMAL = 1.4826  # standard deviation of a normal distribution in units of its median absolute deviation


@dataclass(frozen=True)
class HeldOutScores:
    """M photographs, each scored by a detector that saw nothing of it: table ``held_out_scores``.

    Attributes:
        score: float64 ``[M]``.
        peak: float64 ``[M]``, the highest value of each anomaly map, smoothed and at the extractor's resolution.
        known_good: bool ``[M]``, whether somebody has said that the photograph is good.
        of_one_picture: whether they were all made from a single picture, the only one there was.
    """

    score: Scores
    peak: Scores
    known_good: NDArray[np.bool_]
    of_one_picture: bool = False

    @classmethod
    def from_table(cls, table: Any) -> Self:
        """Of table ``held_out_scores``, a data frame."""
        score, peak = (table[name].to_numpy(dtype=np.float64) for name in ("score", "peak"))
        one = bool(len(table)) and not any(isinstance(name, str) and name for name in table["image_id"])
        return cls(score, peak, table["known_good"].to_numpy(dtype=bool), one)

    def normal(self) -> NDArray[np.bool_]:
        """Which of them stand for good photographs, ``[M]``.

        Nobody has said that an unlabelled photograph is good. One whose score is an outlier among theirs, more than
        three robust standard deviations (1.4826 times the median absolute deviation) above the median, is not taken for
        normal: else a single defect among a hundred would set a threshold at the quantile .99, and hide those like it.
        """
        unknown = self.score[~self.known_good]
        if not len(unknown):
            return self.known_good.copy()
        median = np.median(unknown)
        deviation = _NORMAL * np.median(np.abs(unknown - median))
        return self.known_good | (self.score <= median + OUTLIER * deviation) | (deviation == 0)


class Rate(NamedTuple):
    """A rate between 0 and 1: its interval, and what it is on average or as it was counted."""

    low: float
    high: float
    mean: float


class Outcome(NamedTuple):
    """What a threshold does to photographs of which it is known whether they are good."""

    threshold: float
    misses: int
    defects: int
    miss_rate: Rate | None  # None without defects, or good ones
    false_alarms: int
    good: int
    false_alarm_rate: Rate | None


class Answers:
    """Thresholds of a detector, and what a score means.

    Attributes:
        look, bad: thresholds of the score; None where nothing was held out.
        pixel: threshold of the anomaly map, for regions: a photograph that is just to be looked at has one.
        count: held-out photographs that these are from.
        outliers: held-out photographs that were left out.
    """

    def __init__(self, held_out: HeldOutScores, quantiles: tuple[float, float] = QUANTILES) -> None:
        normal = held_out.normal()
        self.held_out, self.quantiles = held_out, quantiles
        self._scores = np.sort(held_out.score[normal])
        self.count = len(self._scores)
        self.outliers = len(normal) - self.count
        self.look, self.bad = (_quantile(self._scores, share) for share in quantiles)
        self.pixel = _quantile(held_out.peak[normal], quantiles[0])

    def answer(self, score: float) -> Answer | None:
        """``bad`` above the upper threshold, ``look`` above the lower one, else ``good``; None without thresholds."""
        if self.look is None or self.bad is None:
            return None
        return "bad" if float(score) > self.bad else "look" if float(score) > self.look else "good"

    def calibrated(self, score: float) -> float:
        """The share of held-out good scores below a score, 0 to 1, equal ones counted half; NaN where there is none.

        It means the same for every detector: .98 is higher than 98 % of good photographs, whatever the unit.
        """
        if not self.count:
            return float("nan")
        below, up_to = (np.searchsorted(self._scores, float(score), side) for side in ("left", "right"))
        return float((below + up_to) / 2 / self.count)

    def multiple(self, score: float) -> float:
        """A score in units of the upper threshold; NaN where there is none, or where it is not above 0."""
        return float(score) / self.bad if self.bad is not None and self.bad > 0 else float("nan")

    def false_alarms(self) -> tuple[Rate, Rate] | None:
        """Which share of good photographs is above ``look``, and above ``bad``; None without thresholds.

        The intervals are exact for photographs that are drawn like the held-out ones (``rate_above_quantile``). Whether
        outliers that were left out are defects, nobody has said: the upper ends count them as good photographs.
        """
        if self.look is None or self.bad is None:
            return None
        look, bad = (
            self._false_alarms(share, threshold)
            for share, threshold in zip(self.quantiles, (self.look, self.bad), strict=True)
        )
        return look, bad

    def _false_alarms(self, quantile: float, threshold: float) -> Rate:
        rate = rate_above_quantile(self.count, quantile)
        with_outliers = counted(int((self.held_out.score > threshold).sum()), len(self.held_out.score))
        if not self.outliers or with_outliers is None:
            return rate
        return rate._replace(high=max(rate.high, with_outliers.high))

    def promise(self) -> str:
        """What can be promised of the upper threshold, in a sentence."""
        rates = self.false_alarms()
        if rates is None:
            return "No photograph was held out: there is no threshold, and photographs are ranked alone."
        if self.held_out.of_one_picture:
            made = _numbered(self.count, "image")
            return f"{made} made from the only good picture: new photographs may differ more, and no rate is promised."
        low, high, mean = map(percent, rates[1])
        upper = f", whose upper end counts {_numbered(self.outliers, 'outlier')} as good" if self.outliers else ""
        between = f"a false-alarm rate between {low} and {high} %"
        known = f"exact 95 % interval{upper}; {mean} % expected"
        said = f"{_numbered(self.count, 'held-out photograph')}: {between} ({known})"
        needed = promising(self.quantiles[1])
        if needed is not None and self.count < needed:
            verb = "it" if self.count == 1 else "they"
            # the threshold lies below their highest, so that no number of them makes it keep 1 - q with confidence
            promised = f"{percent(1 - self.quantiles[1])} %, which takes {needed:,} and a threshold at the highest"
            return f"{said}; {verb} cannot promise {promised}."
        return f"{said}."

    def table(self, scores: ArrayLike, labels: ArrayLike) -> list[Outcome]:
        """Misses and false alarms among N images by threshold: look, bad, and what separates the images best.

        Args:
            scores: ``[N]``.
            labels: ``[N]``, 0 normal, 1 anomalous.

        Returns:
            By growing threshold. The last kind is the one with the fewest wrong answers, the lowest of several, and
            not a fair one: it has seen the labels.
        """
        scores, labels = np.asarray(scores, np.float64), np.asarray(labels, bool)
        thresholds = {threshold for threshold in (self.look, self.bad) if threshold is not None}
        if len(scores):
            thresholds.add(fewest_mistakes(scores, labels))
        return [outcome(scores, labels, threshold) for threshold in sorted(thresholds)]


def outcome(scores: Scores, labels: NDArray[np.bool_], threshold: float) -> Outcome:
    """What a threshold does to N images; rates have exact 95 % intervals (Clopper and Pearson, 1934)."""
    defects, good = int(labels.sum()), int((~labels).sum())
    misses, alarms = int((scores[labels] <= threshold).sum()), int((scores[~labels] > threshold).sum())
    return Outcome(threshold, misses, defects, counted(misses, defects), alarms, good, counted(alarms, good))


def _quantile(values: Scores, share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None


def rate_above_quantile(count: int, quantile: float, confidence: float = CONFIDENCE) -> Rate:
    """The share of a population above a quantile of a sample from it, whatever its distribution.

    The share of a population below the k-th lowest of M values is distributed as Beta(k, M + 1 - k), if the values are
    drawn independently from any continuous distribution (Wilks, 1941). The sample's quantile lies between two
    neighbours of its sorted values, at (M - 1) q; the interval is from the quantiles of both, and so holds at least as
    often as it says. That is the interval of Clopper and Pearson for the share that has just been counted. Expected is
    what lies between the means.

    Args:
        count: M, at least 1.
        quantile: q, 0 to 1, of numpy's default kind.
    """
    from scipy.special import betaincinv

    place = round((count - 1) * quantile, 9)
    below, above = int(np.floor(place)) + 1, int(np.ceil(place)) + 1
    tail = (1 - confidence) / 2
    low = 1 - betaincinv(above, count + 1 - above, 1 - tail)
    high = 1 - betaincinv(below, count + 1 - below, tail)
    return Rate(float(low), float(high), (count - place) / (count + 1))


def counted(hits: int, count: int, confidence: float = CONFIDENCE) -> Rate | None:
    """A rate as it was counted, with the exact interval of Clopper and Pearson (1934); None of nothing."""
    from scipy.special import betaincinv

    if not count:
        return None
    tail = (1 - confidence) / 2
    low = float(betaincinv(hits, count + 1 - hits, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1 - tail)) if hits < count else 1.0
    return Rate(low, high, hits / count)


def promising(quantile: float, confidence: float = CONFIDENCE) -> int | None:
    """How many held-out values it takes that a share of at most 1 - q lies above the highest (Wilks, 1941).

    Returns:
        The least M with q^M at most 1 - confidence, 299 for .99; None for q of 0 or 1, which no number promises.
    """
    return int(np.ceil(np.log(1 - confidence) / np.log(quantile))) if 0 < quantile < 1 else None


def percent(share: float) -> str:
    """A share in percent, two digits."""
    return f"{100 * share:.2g}" if share < 0.995 else "100"


def _numbered(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


class Drift(NamedTuple):
    """Whether the scores of a folder's photographs as a whole are other ones than those of held-out good ones.

    ``p_value`` is None where there are too few of either to tell.
    """

    p_value: float | None
    moved: bool
    sentence: str


def drift(scores: ArrayLike, held_out: HeldOutScores) -> Drift:
    """Compare the scores ``[N]`` of a folder with held-out ones, whatever up to a fifth of them are.

    Defects are no drift: the highest fifth of the folder's scores is left out before the rest is asked whether it is
    higher than held-out scores, all of them. What is left is then at most as high as as many good photographs are, if
    no more than a fifth are defects, so that the test errs to the careful side. Whether scores are lower is asked of
    all of them, for defects only raise them, and of those that stand for good photographs; and only where so many were
    held out that folds' detectors saw nearly as much as the model, for those that saw less score higher. Each is a
    one-sided rank test of Mann and Whitney (1947); the p-value is twice the smaller one (Bonferroni).
    """
    from scipy.stats import mannwhitneyu

    scores = np.sort(np.asarray(scores, np.float64))
    photographs, good = _numbered(len(scores), "photograph"), _numbered(len(held_out.score), "held-out one")
    if held_out.of_one_picture:
        return Drift(None, False, "Whether scores have moved cannot be told, as a single picture was known to be good.")
    if len(scores) < FEWEST or len(held_out.score) < FEWEST_HELD_OUT:
        expected = f"it takes {FEWEST} and {FEWEST_HELD_OUT}"
        return Drift(
            None, False, f"Whether scores have moved cannot be told from {photographs} and {good}: {expected}."
        )
    likely_good = scores[: len(scores) - int(np.ceil(DEFECTS * len(scores)))]
    higher = float(mannwhitneyu(likely_good, held_out.score, alternative="greater").pvalue)
    normal, lower = held_out.score[held_out.normal()], 1.0
    if len(normal) >= FEWEST_FOR_LOWER:
        lower = float(mannwhitneyu(scores, normal, alternative="less").pvalue)
    p_value = min(1.0, 2 * min(higher, lower))
    if p_value >= SIGNIFICANT:
        return Drift(p_value, False, f"Scores as a whole have not moved ({photographs}, {good}; p = {p_value:.2g}).")
    if higher < lower:
        found = f"are higher as a whole than {DEFECTS:.0%} of defects explain".replace("%", " %")
        means = "light, camera or product may have changed, and good photographs may be called bad"
    else:
        found, means = "are lower as a whole", "photographs may be blurred or dark, and defects may be missed"
    return Drift(p_value, True, f"Scores have moved: those of {photographs} {found} (p = {p_value:.2g}); {means}.")
