"""What a unit of work costs for the networks of a config, with random weights: the same time as with real ones.

    python benchmarks/unit_costs.py                                  # the paper's, half an hour on a core
    python benchmarks/unit_costs.py --part features detectors        # some of it
    python benchmarks/unit_costs.py --device cuda                    # on a GPU, some minutes

Seconds are of CPU time on one thread, which a busy machine changes less than time on the clock; on a GPU of the clock,
from when it is idle to when it is idle again, of work that was done once before. The rows go into the CSV of
``rule_costs.py``, whose other rows stay.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "lib")]

SOURCE = "unit_costs.py: random weights"
Row = tuple[str, str, str, float]  # rule, variant, unit, seconds


def main() -> None:
    """Measure part by part; each part's rows are written as soon as they are there."""
    import torch
    from timing import warm_up
    from unit_work import PARTS, Place

    from variad.core.job import choose_device, keep_freed_memory
    from variad.study.configuration import load_yaml, resolve
    from variad.study.sizes import Study

    arguments = _parsed(list(PARTS))
    torch.set_num_threads(1)
    keep_freed_memory()
    if arguments.device == "cuda":
        choose_device(1)  # as every job of the workflow does
        warm_up("cuda")
    config = resolve(load_yaml(arguments.config), HERE.parent / "config" / "config.yaml")
    for part in arguments.part:
        for row in PARTS[part](Study(config, {}), Place(arguments.device)):
            print(*row, sep="; ", flush=True)
            _write(arguments, row)


def _write(arguments: argparse.Namespace, row: Row) -> None:
    """Replace a row of the CSV, or add it."""
    import pandas as pd
    from timing import machine

    from variad.core.tables import read_table, write_table

    name, device = arguments.machine or machine(arguments.device), arguments.device
    new = pd.DataFrame([(name, device, *row[:3], round(row[3], 9), SOURCE)], columns=COLUMNS)
    if arguments.output.is_file():
        old = read_table(arguments.output, "rule_costs")
        same = (old[COLUMNS[:5]] == [name, device, *row[:3]]).all(axis=1)
        new = pd.concat([old[~same], new], ignore_index=True)
    write_table(arguments.output, new, "rule_costs")


COLUMNS = ["machine", "device", "rule", "variant", "unit", "seconds", "source"]


def _parsed(parts: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, default=HERE.parent / "config" / "paper.yaml")
    parser.add_argument("--part", nargs="+", choices=parts, default=parts)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--machine", help="in words; this one if left out")
    parser.add_argument("--output", type=Path, default=HERE / "rule_costs.csv")
    return parser.parse_args()


if __name__ == "__main__":
    main()
