"""What is left of a study and what is done, by rule, in core hours."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from variad.planning.costs import Costs
from variad.planning.jobs import Job, count_by_rule
from variad.planning.study import Study
from variad.planning.took import Took, read_took
from variad.planning.work import work_of

HOUR = 3600.0


@dataclass(frozen=True)
class Estimate:
    """Seconds of the jobs whose cost is known, by job, and the jobs whose cost is not, with the reason."""

    seconds: dict[Job, float] = field(default_factory=dict)
    unknown: dict[Job, str] = field(default_factory=dict)

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


def estimate(jobs: Iterable[Job], study: Study, costs: Costs) -> Estimate:
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


def took_of(finished: Mapping[Job, Path], pending: Iterable[Job]) -> dict[Job, Took]:
    """What the finished jobs took that do not have to be done again."""
    again = set(pending)
    return {job: read_took(path) for job, path in finished.items() if job not in again}


def plan_table(pending: Iterable[Job], left: Estimate, done: Estimate, took: Mapping[Job, Took]) -> pd.DataFrame:
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


def reasons(unknown: Mapping[Job, str]) -> Counter[tuple[str, str]]:
    """Number of jobs by (rule, why their cost is not known)."""
    return Counter((job.rule, why) for job, why in unknown.items())


def _hours(seconds: Mapping[Job, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for job, value in seconds.items():
        found[job.rule] = found.get(job.rule, 0.0) + value / HOUR
    return found
