"""What finished jobs took, from the benchmark files that Snakemake wrote."""

import csv
from dataclasses import dataclass
from pathlib import Path

from variad.errors import UserError


@dataclass(frozen=True)
class Took:
    """Wall seconds of a job and the most memory that it held, GB; None where it ended before it was looked at."""

    seconds: float
    peak_gb: float | None


def read_took(path: str | Path) -> Took:
    """Read one benchmark file; of several runs the last.

    Raises:
        UserError: the file is not one of Snakemake's.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            row = list(csv.DictReader(file, delimiter="\t"))[-1]
        return Took(float(row["s"]), _gigabytes(row["max_rss"]))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: expected a benchmark file of Snakemake, found: {error!r}.") from error


def _gigabytes(megabytes: str) -> float | None:
    try:
        return float(megabytes) * 2**20 / 1e9
    except ValueError:  # NA, or a dash
        return None
