"""The benchmark of runs trained together runs; it refuses by itself to compare gradients that differ."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from variad.core.precision import in_bfloat16

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "runs_together.py"


@pytest.mark.slow
def test_the_benchmark_writes_one_row_a_detector_and_precision(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--runs=2", "--repeats=1", "--output", tmp_path / "out.csv"]
    subprocess.run(command, check=True, timeout=600)
    with open(tmp_path / "out.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    both = ["float32", "bfloat16"] if in_bfloat16("bfloat16", "cpu") else ["float32"]
    expected = [*(("cflow", one) for one in both), ("reverse_distillation", "float32")]
    assert [(row["detector"], row["precision"]) for row in rows] == [*expected, *(("efficientad", one) for one in both)]
    assert all(float(row["loop_ms"]) > 0 and float(row["batched_ms"]) > 0 for row in rows)


def test_different_gradients_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import torch
    from runs_together import _check_equal

    ones = [torch.ones(2, 3)]
    _check_equal("equal", lambda: ones, lambda: [ones[0] + 1e-6])
    with pytest.raises(
        SystemExit, match=r"other: expected equal gradients from both ways, found a difference of 1\.0e-01"
    ):
        _check_equal("other", lambda: ones, lambda: [ones[0] + torch.tensor([0.0, 0.1, 0.0])])
