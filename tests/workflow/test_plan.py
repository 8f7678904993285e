"""The target ``plan``: what it says is what Snakemake would run, and what jobs took."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from tests.markdown_rows import rows as table_rows
from tests.workflow.running import ROOT, TINY, planned, succeed

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    return tmp_path


def table(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "results/tables/plan.csv", encoding="utf-8", newline="") as file:
        return {row["rule"]: row for row in csv.DictReader(file)}


def counted(folder: Path, *targets: str) -> Counter[str]:
    """Jobs by rule as Snakemake counts them; rules of heat maps, one a detector, are one in a plan."""
    found: Counter[str] = Counter()
    for rule, count in planned(folder, *targets).items():
        if rule not in ("all", *targets):
            found["plot_heatmaps" if rule.startswith("plot_heatmaps_") else rule] += count
    return found


def test_plan_counts_what_snakemake_would_run_before_and_after_a_part_of_it(folder):
    said = succeed(folder, "--cores", "1", "plan")
    expected = counted(folder)
    left = {rule: int(row["jobs_left"]) for rule, row in table(folder).items()}
    assert left == expected
    assert ["total", str(sum(left.values()))] in [row[:2] for row in table_rows(said)]
    # 2 runs of 2 images (one-shot) and of 3 (few-shot), three recipes, two categories; two steps of one recipe's
    assert "images to add: 60; optimisation steps: 40" in said
    assert "GPU: 9 s of one NVIDIA H200 for 8 jobs (put together from parts" in said
    assert "not measured on a GPU: 50 jobs of build_training_set," in said
    assert not (folder / "results/elpv").exists()

    succeed(folder, "--cores", "1", "results/elpv/mono/shots.csv")
    said = succeed(folder, "--cores", "1", "plan")
    rows = table(folder)
    assert {rule: row["jobs_done"] for rule, row in rows.items() if row["jobs_done"] != "0"} == {
        "index_category": "1",
        "sample_shots": "1",
    }
    assert float(rows["index_category"]["done_measured_hours"]) > 0
    assert int(rows["index_category"]["jobs_left"]) == expected["index_category"] - 1
    assert "2 jobs are done" in said


def test_plan_of_another_target(folder):
    config = folder / "study.yaml"
    config.write_text(TINY.read_text("utf-8") + "\nplan: {cores: 4}\n", "utf-8")
    succeed(folder, "--cores", "1", "plan", "--config", "plan={targets: [prompts]}", config=config)
    left = {rule: int(row["jobs_left"]) for rule, row in table(folder).items()}
    assert left == counted(folder, "prompts")
    assert "on the clock with 4 such cores" in (folder / "results/tables/plan.md").read_text("utf-8")
