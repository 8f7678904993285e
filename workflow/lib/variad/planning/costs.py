"""What a unit of work costs on a named machine, and so what a job costs."""

from dataclasses import dataclass
from pathlib import Path

from variad.planning.units import Work
from variad.tables import read_table

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
