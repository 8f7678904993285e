"""What a unit of work of every rule costs, from a finished run of the workflow.

    python benchmarks/rule_costs.py results                              # the embedded default, in this folder
    python benchmarks/rule_costs.py results --config config/custom.yaml
    python benchmarks/rule_costs.py results --config config/paper_first.yaml --device cuda   # of a run with run.gpu: 1

The run has to be alone on its machine. Rows of other sources in the CSV stay, and what they know is taken off first. On
a GPU the costs are those of the rules that use one; what others took there is not looked at.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

import numpy as np  # noqa: E402, the library's path comes first
import pandas as pd  # noqa: E402

Key = tuple[str, str, str]  # rule, variant, unit
SOURCE = "rule_costs.py: a run of the default"
DERIVED = "gpu_costs.py: put together from parts"
DECIMALS = 9


def main() -> None:
    """Fit the costs, write them, and say how they explain the run that they come from."""
    from timing import machine

    from variad.core.tables import read_table, write_table
    from variad.study.configuration import load_yaml, resolve
    from variad.study.jobs import finished_jobs, read_took
    from variad.study.sizes import Study, sizes_of
    from variad.study.work import GPU_RULES, Costs, work_of

    arguments = _parsed()
    default = HERE.parent / "config" / "config.yaml"
    config = resolve(load_yaml(arguments.config), default)
    study = Study(config, sizes_of(config, arguments.results))
    seen = []
    device, name = arguments.device, arguments.machine or machine(arguments.device)
    for job, path in finished_jobs(arguments.results / "benchmarks").items():
        work = work_of(job, study)
        if work is not None and (device == "cpu" or job.rule in GPU_RULES):
            seen.append((job.rule, work, read_took(path).seconds))
    others, known = pd.DataFrame(), {}
    if arguments.output.is_file():
        table = read_table(arguments.output, "rule_costs")
        here = (table["device"] == device) & (table["machine"] == name)
        others = table[~here | ~table["source"].isin([SOURCE, DERIVED])]
        known = {
            (row.rule, row.variant, row.unit): float(row.seconds)
            for row in others.itertuples()
            if (row.device, row.machine) == (device, name)
        }
    costs = fit_costs(seen, known)
    rows = [(name, device, *key, round(cost, DECIMALS), SOURCE) for key, cost in sorted(costs.items())]
    fitted = pd.DataFrame(rows, columns=["machine", "device", "rule", "variant", "unit", "seconds", "source"])
    write_table(arguments.output, pd.concat([fitted, others], ignore_index=True), "rule_costs")
    whole = Costs(name, known | costs)
    expected = sum(whole.of(rule, work) or 0.0 for rule, work, _ in seen)
    took = sum(seconds for _, _, seconds in seen)
    print(f"{len(seen)} jobs took {took:.0f} s, the costs make {expected:.0f} s of them (ratio {expected / took:.3f})")


def fit_costs(jobs: Iterable[tuple[str, Any, float]], known: Mapping[Key, float] | None = None) -> dict[Key, float]:
    """Seconds of each unit by (rule, variant, unit), ``job`` included: least squares with nothing below zero.

    Jobs of one rule and variant are fitted together. Where they all did the same amount of work, what they took beyond
    the shortest job of their rule is charged to the work. Work as other rules do it costs what it costs there.

    Args:
        jobs: (rule, its ``variad.study.work.Work``, seconds that it took).
        known: costs that were measured by themselves; they are taken off first, and not returned.
    """
    jobs, known = list(jobs), dict(known or {})
    rules = {rule for rule, work, _ in jobs if work.also}
    found = _fit_groups([job for job in jobs if job[0] not in rules], known)

    def of_others(work: Any) -> float:
        """Seconds of what a job does of other rules' work, which is nothing where that was never measured."""
        return sum(
            count * (found | known).get((rule, part.variant, unit), 0.0)
            for rule, part in work.also.items()
            for unit, count in part.units.items()
        )

    rest = [(rule, work, seconds - of_others(work)) for rule, work, seconds in jobs if rule in rules]
    return found | _fit_groups(rest, known)


def _fit_groups(jobs: Iterable[tuple[str, Any, float]], known: Mapping[Key, float]) -> dict[Key, float]:
    groups: dict[tuple[str, str], list[tuple[Mapping[str, float], float]]] = defaultdict(list)
    for rule, work, seconds in jobs:
        groups[rule, work.variant].append((work.units, max(0.0, seconds)))
    start: dict[str, float] = {}  # of every rule, seconds of its shortest job
    for (rule, _), group in groups.items():
        start[rule] = min(start.get(rule, np.inf), *(seconds for _, seconds in group))
    found: dict[Key, float] = {}
    for (rule, variant), group in groups.items():
        fixed = {unit: cost for (other, same, unit), cost in known.items() if (other, same) == (rule, variant)}
        found |= {(rule, variant, unit): cost for unit, cost in _fit(group, fixed, start[rule]).items()}
    return found


def _fit(
    group: list[tuple[Mapping[str, float], float]], fixed: Mapping[str, float], shortest: float
) -> dict[str, float]:
    units = sorted({unit for counts, _ in group for unit in counts if unit not in fixed})
    counts = np.array([[of_job.get(unit, 0.0) for unit in units] for of_job, _ in group]).reshape(len(group), -1)
    known = np.array([sum(fixed[unit] * of_job.get(unit, 0.0) for unit in fixed) for of_job, _ in group])
    rest = np.maximum(np.array([seconds for _, seconds in group]) - known, 0.0)
    if len(units) == 1 and counts.min() == counts.max() > 0:  # nothing varies: all above the rule's shortest is work
        start = min(shortest, float(rest.mean()))
        return {"job": start, units[0]: (float(rest.mean()) - start) / float(counts[0, 0])}
    return dict(zip(["job", *units], _non_negative(counts, rest), strict=True))


def _non_negative(counts: np.ndarray, took: np.ndarray) -> list[float]:
    """Least squares of ``took`` by a start and units ``[jobs, units]``; long jobs' errors weigh less, by the root."""
    from scipy.optimize import nnls

    columns = np.column_stack([np.ones(len(took)), counts])
    scale = np.maximum(columns.max(axis=0), 1e-12)
    weight = 1 / np.sqrt(np.maximum(took, 0.1))
    costs, _ = nnls(columns / scale * weight[:, None], took * weight)
    return [float(cost) for cost in costs / scale]


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", type=Path, help="folder of a finished run")
    parser.add_argument("--config", type=Path, default=HERE.parent / "config" / "config.yaml", help="of that run")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="that the run's torch rules used")
    parser.add_argument("--machine", help="in words; this one if left out")
    parser.add_argument("--output", type=Path, default=HERE / "rule_costs.csv")
    return parser.parse_args()


if __name__ == "__main__":
    main()
