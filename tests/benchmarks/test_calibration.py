"""Promised and observed rates, and drift, from held-out scores and test scores as files."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from variad.core.tables import write_table

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def files(tmp_path: Path) -> list[str | Path]:
    """A cell of one run: held out 0 to 100, good test photographs 0 to 99 and 99.5, defects 99.2 and 1000 ten times."""
    scores = np.arange(101.0)
    (tmp_path / "held").mkdir()
    np.savez(tmp_path / "held/lid.a.few_shot.real.0.npz", score=scores, peak=scores, known_good=scores >= 0)
    cell = tmp_path / "results/lid/a/few_shot/real/patchcore"
    cell.mkdir(parents=True)
    test = [*range(100), 99.5, 99.2, *[1000] * 10]
    labels = [0] * 101 + [1] * 11
    names = [f"test/{number}" for number in range(len(test))]
    table = pd.DataFrame({"run": 0, "image_id": names, "label": labels, "score": np.array(test, float)})
    write_table(cell / "scores.csv", table, "scores")
    places = ["--results", tmp_path / "results", "--scores", tmp_path / "held", "--output", tmp_path / "out.csv"]
    return [*places, "--categories", "lid/a", "--cells", "few_shot/real", "--runs=1"]


def rows_of(script: str, files: list[str | Path], *more: str) -> tuple[list[dict[str, str]], str]:
    command = [sys.executable, BENCHMARKS / script, *files, *more]
    done = subprocess.run(command, check=True, timeout=600, capture_output=True, text=True)
    with open(files[5], encoding="utf-8") as stream:
        return list(csv.DictReader(stream)), done.stdout


def test_promised_and_observed_rates_stand_side_by_side(files: list[str | Path]) -> None:
    rows, said = rows_of("calibration.py", files)
    look, bad = rows
    assert [look["threshold"], bad["threshold"]] == ["95", "99"]
    # good 96 to 99 and 99.5 of 101, and 99.5 alone; no defect is below 95, none at 99 or less
    assert [(row["false_alarms"], row["good"], row["misses"], row["defects"]) for row in rows] == [
        ("5", "101", "0", "11"), ("1", "101", "0", "11"),
    ]  # fmt: skip
    assert float(bad["promised_low"]) < float(bad["expected"]) == 0.0196 < float(bad["promised_high"])  # 2 of 102
    assert "lid/a few_shot real 0.99 101 0 2.0" in said and said.strip().endswith("1/1")


def test_drift_is_counted_with_and_without_defects(files: list[str | Path]) -> None:
    rows, _ = rows_of("drift.py", files, "--draws=5")
    assert {row["source"] for row in rows} == {"split", "test"}
    moved = {
        (row["folder"], row["defects"], row["shift"]): float(row["moved"]) for row in rows if row["source"] == "test"
    }
    assert moved["40", "0.2", "2.0"] == 1.0 and moved["40", "0.2", "0.0"] <= 0.2
    assert {row["drawn"] for row in rows} == {"5"}
