"""What a unit of work of every rule costs, from a finished run of the workflow.

    python benchmarks/rule_costs.py results                              # the embedded default, in this folder
    python benchmarks/rule_costs.py results --config config/custom.yaml

The run has to be alone on its machine. Rows of other sources in the CSV stay, and what they know is taken off first.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

import pandas as pd  # noqa: E402, the library's path comes first

SOURCE = "rule_costs.py: a run of the default"
DECIMALS = 9


def main() -> None:
    """Fit the costs, write them, and say how they explain the run that they come from."""
    from timing import machine

    from variad.core.tables import read_table, write_table
    from variad.study.configuration import load_yaml, resolve
    from variad.study.costs import Costs, fit_costs
    from variad.study.jobs import finished_jobs, read_took
    from variad.study.sizes import Study, sizes_of
    from variad.study.work import work_of

    arguments = _parsed()
    default = HERE.parent / "config" / "config.yaml"
    config = resolve(load_yaml(arguments.config), default)
    study = Study(config, sizes_of(config, arguments.results))
    seen = []
    for job, path in finished_jobs(arguments.results / "benchmarks").items():
        work = work_of(job, study)
        if work is not None:
            seen.append((job.rule, work, read_took(path).seconds))
    others = pd.DataFrame()
    if arguments.output.is_file():
        table = read_table(arguments.output, "rule_costs")
        others = table[table["source"] != SOURCE]
    known = {(row.rule, row.variant, row.unit): float(row.seconds) for row in others.itertuples()}
    costs = fit_costs(seen, known)
    name = arguments.machine or machine("cpu")
    rows = [(name, *key, round(cost, DECIMALS), SOURCE) for key, cost in sorted(costs.items())]
    fitted = pd.DataFrame(rows, columns=["machine", "rule", "variant", "unit", "seconds", "source"])
    write_table(arguments.output, pd.concat([fitted, others], ignore_index=True), "rule_costs")
    whole = Costs(name, known | costs)
    expected = sum(whole.of(rule, work) or 0.0 for rule, work, _ in seen)
    took = sum(seconds for _, _, seconds in seen)
    print(f"{len(seen)} jobs took {took:.0f} s, the costs make {expected:.0f} s of them (ratio {expected / took:.3f})")


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", type=Path, help="folder of a finished run")
    parser.add_argument("--config", type=Path, default=HERE.parent / "config" / "config.yaml", help="of that run")
    parser.add_argument("--machine", help="in words; this one if left out")
    parser.add_argument("--output", type=Path, default=HERE / "rule_costs.csv")
    return parser.parse_args()


if __name__ == "__main__":
    main()
