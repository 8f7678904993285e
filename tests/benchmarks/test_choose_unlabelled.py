"""The benchmark of the choice among unlabelled images measures every score, in processes of their own."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "choose_unlabelled.py"


@pytest.mark.slow
def test_the_benchmark_writes_one_row_a_pile_and_score(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--candidates", "3", "5", "--runs=2", "--scratch", tmp_path]
    subprocess.run([*command, "--note=quick", "--output", tmp_path / "out.csv"], check=True, timeout=600)
    with open(tmp_path / "out.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    scores = ["mutual", "mutual, turned", "rounds", "both", "shot"]
    assert [(row["candidates"], row["score"]) for row in rows] == [(n, score) for n in ("3", "5") for score in scores]
    assert all(float(row["seconds"]) > 0 and 0 < float(row["peak_gib"]) < 1 and row["note"] == "quick" for row in rows)
