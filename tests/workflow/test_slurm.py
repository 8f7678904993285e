"""A cell of the tiny study through real Slurm, submitted by the profile to a cluster of one node on this machine."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CELL = "results/textures/brick/few_shot/generated/patchcore/metrics.csv"
TINY = ROOT / "tests" / "workflow" / "tiny.yaml"
PROFILE = ROOT / "workflow" / "profiles" / "slurm"
ONE_NODE = ROOT / "tests" / "workflow" / "slurm" / "one_node.sh"

SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin"
MISSING = [name for name in ("munged", "slurmctld", "slurmd", "srun") if not shutil.which(name, path=SYSTEM_PATH)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """Environment variables under which Slurm's commands reach a running cluster of one node."""
    if MISSING:
        pytest.skip(f"Slurm is not installed ({MISSING[0]} not found); Debian: apt-get install slurm-wlm munge")
    # Munge's socket wants a shorter path than pytest's own temporary folders have.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        try:
            subprocess.run([ONE_NODE, "start", folder], check=True)
            yield {**os.environ, "SLURM_CONF": f"{folder}/slurm.conf", "PATH": f"{folder}/bin:{SYSTEM_PATH}"}
        finally:
            subprocess.run([ONE_NODE, "stop", folder], check=True)


def through_slurm() -> list[str]:
    """The profile, asking about its jobs more often than it would on a cluster that others use too."""
    return [
        "--workflow-profile",
        str(PROFILE),
        "--slurm-init-seconds-before-status-checks",
        "1",
        "--latency-wait",
        "10",
    ]


def snakemake(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """Run Snakemake in ``folder``; return what it said."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-8000:]
    return done.stderr


@pytest.mark.slow
def test_job_that_needs_more_memory_and_a_gpu_gets_them(cluster: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(
        "rule all:\n"
        "    input: 'asked.txt'\n"
        "    localrule: True\n"
        "rule ask:\n"
        "    output: 'asked.txt'\n"
        "    resources: gpu=1, mem_mb=lambda wildcards, attempt: 300 * attempt\n"
        "    shell: '[ {resources.mem_mb} -gt 300 ] || exit 1; '\n"
        "        'echo {resources.mem_mb} {resources.runtime} $CUDA_VISIBLE_DEVICES $SLURM_JOB_PARTITION > {output}'\n",
        encoding="utf-8",
    )
    said = snakemake(tmp_path, cluster, *through_slurm())
    assert "Trying to restart" in said
    assert (tmp_path / "asked.txt").read_text(encoding="utf-8").split() == ["600", "480", "0", "main"]


@pytest.mark.slow
def test_cell_has_the_same_numbers_through_slurm_as_without(cluster: dict[str, str], tmp_path: Path) -> None:
    study = ["--snakefile", str(ROOT / "workflow" / "Snakefile"), "--configfile", str(TINY), "--", CELL]
    found = []
    for name, arguments in (("slurm", through_slurm()), ("alone", ["--cores", "2"])):
        shutil.copytree(ROOT / "resources", tmp_path / name / "resources", ignore=shutil.ignore_patterns("downloads"))
        said = snakemake(tmp_path / name, cluster, *arguments, *study)
        submitted = re.findall(r"Job \d+ has been submitted with SLURM jobid \d+", said)
        steps = re.search(r"100 %: (\d+) of \1 jobs", said)
        assert steps and len(submitted) == (int(steps[1]) if name == "slurm" else 0)
        found.append((tmp_path / name / CELL).read_bytes())
    assert found[0] == found[1]
    assert found[0].count(b"image_auroc") == 2  # one a run
