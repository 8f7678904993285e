"""What a unit of work costs on a named machine, and so what the jobs of a study cost.

The costs come from ``benchmarks/rule_costs.csv``; ``benchmarks/rule_costs.py`` fits them to a finished run.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from variad.core.tables import read_table
from variad.study.jobs import PlannedJob
from variad.study.sizes import Study
from variad.study.work import Work, work_of

START = "job"  # the unit of what every job costs before any work


@dataclass(frozen=True)
class Costs:
    """Seconds of a unit by (rule, variant, unit), on one thread of ``machine``."""

    machine: str
    seconds: dict[tuple[str, str, str], float]

    def of(self, rule: str, work: Work) -> float | None:
        """Seconds of a job; None when one of its units was never measured. Units that a job has none of are free.

        Where a variant has units alone, a job of it costs before any work what the most costly of the rule's others do.
        """
        total = self.seconds.get((rule, work.variant, START))
        if total is None:
            if not any(key[:2] == (rule, work.variant) for key in self.seconds):
                return None
            starts = [cost for (other, _, unit), cost in self.seconds.items() if other == rule and unit == START]
            total = max(starts, default=0.0)
        for unit, count in work.units.items():
            a_unit = self.seconds.get((rule, work.variant, unit))
            if a_unit is None and count:
                return None
            total += (a_unit or 0.0) * count
        return total


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
    found = Estimate()
    for job in jobs:
        work = work_of(job, study)
        cost = costs.of(job.rule, work) if work is not None else None
        if work is None:
            found.unknown[job] = "the number of images is known once the data are there"
        elif cost is None:
            found.unknown[job] = f"never measured: {work.variant or 'the rule'}"
        else:
            found.seconds[job] = cost
    return found
