"""The benchmark of planning: a study whose jobs do nothing, part by part to its end."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_study_in_parts_leaves_nothing_to_do(tmp_path):
    output = tmp_path / "planning.csv"
    command = [sys.executable, "benchmarks/planning.py", "--categories", "2", "--run", "2", "--parts", "2"]
    done = subprocess.run([*command, "--output", output], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with open(output, newline="", encoding="utf-8") as stream:
        plan, parts, rest, nothing = csv.DictReader(stream)
    assert [row["what"] for row in (plan, parts, rest, nothing)] == [
        "plan",
        "parts",
        "joining",
        "plan of nothing to do",
    ]
    assert (plan["cells"], parts["calls"], rest["jobs"], nothing["jobs"]) == ("144", "2", "4", "0")
    # two targets in place of one; one of `all`, and four jobs that join
    assert int(parts["jobs"]) + int(rest["jobs"]) == int(plan["jobs"]) + 1
    assert 0 < float(plan["ours_s"]) < float(plan["cpu_s"])
