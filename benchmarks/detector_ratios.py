"""The table of ``detectors.py``, and what follows from it: medians of paired ratios, differences of means."""

import csv
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

COLUMNS = (
    "detector", "engine", "category", "seed", "backbone", "resolution", "train_images", "test_images", "work",
    "precision", "threads", "fit_s", "score_s", "fit_cpu_s", "score_cpu_s", "import_s", "fit_peak_gb",
    "score_peak_gb", "image_auroc", "pixel_auroc", "machine", "version",
)  # fmt: skip
Row = dict[str, Any]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """One row a measurement."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[Row]:
    """What ``write_rows`` wrote; numbers as numbers, no value as None."""
    with open(path, encoding="utf-8") as stream:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(stream)]


def _value(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def pairs(rows: Sequence[Row], detector: str) -> list[tuple[Row, Row]]:
    """(ours, anomalib's) of the same category and seed."""
    sides: dict[tuple[str, Any, Any], Row] = {
        (row["engine"], row["category"], row["seed"]): row for row in rows if row["detector"] == detector
    }
    keys = [key[1:] for key in sides if key[0] == "variad" and ("anomalib", *key[1:]) in sides]
    return [(sides["variad", *key], sides["anomalib", *key]) for key in keys]


def speed_up(both: Sequence[tuple[Row, Row]], *parts: str) -> float:
    """Median over the pairs of anomalib's time by ours; ``parts`` are columns of seconds that are added."""
    return statistics.median(
        sum(peer[part] for part in parts) / sum(ours[part] for part in parts) for ours, peer in both
    )


def difference(both: Sequence[tuple[Row, Row]], metric: str) -> float | None:
    """Mean of ours less anomalib's, points; None where no pair has the metric."""
    found = [ours[metric] - peer[metric] for ours, peer in both if ours[metric] not in ("", None)]
    return statistics.mean(found) if found else None


def print_ratios(rows: Sequence[Row]) -> None:
    """One line a detector."""
    for detector in dict.fromkeys(row["detector"] for row in rows):
        both = pairs(rows, detector)
        if not both:
            continue
        times = ", ".join(f"{name} {speed_up(both, *parts):.2f} x" for name, parts in _TIMES.items())
        memory = statistics.median(peer["fit_peak_gb"] / ours["fit_peak_gb"] for ours, peer in both)
        points = ((name, difference(both, f"{name}_auroc")) for name in ("image", "pixel"))
        quality = ", ".join(f"{name} AUROC {value:+.2f}" for name, value in points if value is not None)
        print(f"{detector}: {times}, memory of fit {memory:.2f} x, {quality} ({len(both)} pairs)")


_TIMES = {
    "fit + score": ("fit_s", "score_s"),
    "fit": ("fit_s",),
    "score": ("score_s",),
    "CPU time": ("fit_cpu_s", "score_cpu_s"),
}
