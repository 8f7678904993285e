"""What a unit of work costs on a named machine, and so what a job costs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.tables import read_table
from variad.study.jobs import PlannedJob, Took, count_by_rule, read_took
from variad.study.sizes import Study
from variad.study.work import Work, work_of

START = "job"  # the unit of what every job costs before any work


@dataclass(frozen=True)
class Costs:
    """Seconds of a unit by (rule, variant, unit), on one thread of ``machine``."""

    machine: str
    seconds: dict[tuple[str, str, str], float]

    def of(self, rule: str, work: Work) -> float | None:
        """Seconds of a job; None when one of its units was never measured. Units that a job has none of are free."""
        total = self._start(rule, work.variant)
        if total is None:
            return None
        for unit, count in work.units.items():
            a_unit = self.seconds.get((rule, work.variant, unit))
            if a_unit is None and count:
                return None
            total += (a_unit or 0.0) * count
        return total

    def _start(self, rule: str, variant: str) -> float | None:
        """What a job costs before any work; where a variant has units alone, the most of the rule's others."""
        if (rule, variant, START) in self.seconds:
            return self.seconds[rule, variant, START]
        if not any(key[:2] == (rule, variant) for key in self.seconds):
            return None
        starts = [cost for (other, _, unit), cost in self.seconds.items() if other == rule and unit == START]
        return max(starts, default=0.0)


def read_costs(path: str | Path) -> Costs:
    """Read ``benchmarks/rule_costs.csv``: the machine of its first row.

    Raises:
        UserError: the file is missing or does not follow the schema.
    """
    table = read_table(path, "rule_costs")
    machine = str(table["machine"].iloc[0]) if len(table) else "no machine"
    rows = table[table["machine"] == machine]
    keys = zip(rows["rule"], rows["variant"], rows["unit"], strict=True)
    return Costs(machine, dict(zip(keys, map(float, rows["seconds"]), strict=True)))


# Costs of units from what the jobs of a finished run took: least squares with nothing below zero.

Key = tuple[str, str, str]


def fit_costs(jobs: Iterable[tuple[str, Work, float]], known: Mapping[Key, float] | None = None) -> dict[Key, float]:
    """Seconds of each unit by (rule, variant, unit), ``job`` included.

    Jobs of one rule and variant are fitted together. Where they all did the same amount of work, what they took beyond
    the shortest job of their rule is charged to the work.

    Args:
        jobs: (rule, work, seconds that it took).
        known: costs that were measured by themselves; they are taken off first, and not returned.
    """
    groups: dict[tuple[str, str], list[tuple[Mapping[str, float], float]]] = defaultdict(list)
    for rule, work, seconds in jobs:
        groups[rule, work.variant].append((work.units, seconds))
    start = _shortest(groups)
    found: dict[Key, float] = {}
    for (rule, variant), group in groups.items():
        fixed = {unit: cost for (other, same, unit), cost in (known or {}).items() if (other, same) == (rule, variant)}
        found |= {(rule, variant, unit): cost for unit, cost in _fit(group, fixed, start[rule]).items()}
    return found


def _shortest(groups: Mapping[tuple[str, str], list[tuple[Mapping[str, float], float]]]) -> dict[str, float]:
    """Seconds of the shortest job of every rule."""
    shortest: dict[str, float] = {}
    for (rule, _), group in groups.items():
        shortest[rule] = min(shortest.get(rule, np.inf), *(seconds for _, seconds in group))
    return shortest


def _fit(
    group: list[tuple[Mapping[str, float], float]], fixed: Mapping[str, float], shortest: float
) -> dict[str, float]:
    units = sorted({unit for counts, _ in group for unit in counts if unit not in fixed})
    counts = np.array([[of_job.get(unit, 0.0) for unit in units] for of_job, _ in group]).reshape(len(group), -1)
    known = np.array([sum(fixed[unit] * of_job.get(unit, 0.0) for unit in fixed) for of_job, _ in group])
    rest = np.maximum(np.array([seconds for _, seconds in group]) - known, 0.0)
    if len(units) == 1 and counts.min() == counts.max() > 0:  # nothing varies: all above the rule's shortest is work
        start = min(shortest, float(rest.mean()))
        return {START: start, units[0]: (float(rest.mean()) - start) / float(counts[0, 0])}
    return dict(zip([START, *units], _non_negative(counts, rest), strict=True))


def _non_negative(counts: NDArray[np.float64], took: NDArray[np.float64]) -> list[float]:
    """Least squares of ``took`` by a start and units ``[jobs, units]``; long jobs' errors weigh less, by the root."""
    from scipy.optimize import nnls

    columns = np.column_stack([np.ones(len(took)), counts])
    scale = np.maximum(columns.max(axis=0), 1e-12)
    weight = 1 / np.sqrt(np.maximum(took, 0.1))
    costs, _ = nnls(columns / scale * weight[:, None], took * weight)
    return [float(cost) for cost in costs / scale]


# What is left of a study and what is done, by rule, in core hours.

HOUR = 3600.0


@dataclass(frozen=True)
class Estimate:
    """Seconds of the jobs whose cost is known, by job, and the jobs whose cost is not, with the reason."""

    seconds: dict[PlannedJob, float] = field(default_factory=dict)
    unknown: dict[PlannedJob, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Core seconds of the jobs that are known."""
        return sum(self.seconds.values())

    @property
    def longest(self) -> float:
        """Seconds of the longest job."""
        return max(self.seconds.values(), default=0.0)

    def wall(self, cores: int) -> float:
        """Seconds on the clock with so many cores, at least: jobs have one thread each, and some wait for others."""
        return max(self.total / cores, self.longest)


def estimate(jobs: Iterable[PlannedJob], study: Study, costs: Costs) -> Estimate:
    """The cost of every job, or why it is not known."""
    seconds, unknown = {}, {}
    for job in jobs:
        work = work_of(job, study)
        cost = costs.of(job.rule, work) if work is not None else None
        if work is None:
            unknown[job] = "the number of images is known once the data are there"
        elif cost is None:
            unknown[job] = f"never measured: {work.variant or 'the rule'}"
        else:
            seconds[job] = cost
    return Estimate(seconds, unknown)


def took_of(finished: Mapping[PlannedJob, Path], pending: Iterable[PlannedJob]) -> dict[PlannedJob, Took]:
    """What the finished jobs took that do not have to be done again."""
    again = set(pending)
    return {job: read_took(path) for job, path in finished.items() if job not in again}


def plan_table(
    pending: Iterable[PlannedJob], left: Estimate, done: Estimate, took: Mapping[PlannedJob, Took]
) -> pd.DataFrame:
    """The table ``plan``: a row a rule, in the order of the most work left, then of the most that was done."""
    pending = list(pending)
    jobs_left, jobs_done = count_by_rule(pending), count_by_rule(took)
    hours_left, hours_done = _hours(left.seconds), _hours(done.seconds)
    measured = _hours({job: one.seconds for job, one in took.items()})
    peaks: dict[str, float] = {}
    for job, one in took.items():
        peaks[job.rule] = max(peaks.get(job.rule, 0.0), one.peak_gb or 0.0)
    unknown = count_by_rule(left.unknown)
    rules = sorted(jobs_left.keys() | jobs_done.keys())
    rules.sort(key=lambda rule: (-hours_left.get(rule, 0.0), -measured.get(rule, 0.0)))
    rows = [
        {
            "rule": rule,
            "jobs_left": jobs_left[rule],
            "jobs_done": jobs_done[rule],
            "left_hours": hours_left.get(rule),
            "unknown_jobs": unknown[rule],
            "done_estimated_hours": hours_done.get(rule),
            "done_measured_hours": measured.get(rule),
            "peak_gb": peaks.get(rule),
        }
        for rule in rules
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    "rule", "jobs_left", "jobs_done", "left_hours", "unknown_jobs", "done_estimated_hours", "done_measured_hours",
    "peak_gb",
]  # fmt: skip


def reasons(unknown: Mapping[PlannedJob, str]) -> Counter[tuple[str, str]]:
    """Number of jobs by (rule, why their cost is not known)."""
    return Counter((job.rule, why) for job, why in unknown.items())


def _hours(seconds: Mapping[PlannedJob, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for job, value in seconds.items():
        found[job.rule] = found.get(job.rule, 0.0) + value / HOUR
    return found
