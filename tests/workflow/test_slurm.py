"""The tiny study through real Slurm, submitted by the profile to one node, with what happens to jobs there."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.slurm.cluster import Cluster, hang, wait_until

ROOT = Path(__file__).resolve().parents[2]
BRICK = "results/textures/brick"
CELL = f"{BRICK}/few_shot/generated/patchcore/metrics.csv"
TINY = ROOT / "tests" / "workflow" / "tiny.yaml"
PROFILE = ROOT / "workflow" / "profiles" / "slurm" / "profile.yaml"
ONE_NODE = ROOT / "tests" / "workflow" / "slurm" / "one_node.sh"
STUDY = ["--snakefile", str(ROOT / "workflow" / "Snakefile"), "--configfile", str(TINY)]

SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin"
MISSING = [name for name in ("munged", "slurmctld", "slurmd", "srun") if not shutil.which(name, path=SYSTEM_PATH)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A running cluster of one node and two partitions."""
    if MISSING:
        pytest.skip(f"Slurm is not installed ({MISSING[0]} not found); Debian: apt-get install slurm-wlm munge")
    # Munge's socket wants a shorter path than pytest's own temporary folders have.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        try:
            subprocess.run([ONE_NODE, "start", folder], check=True)
            yield Cluster({**os.environ, "SLURM_CONF": f"{folder}/slurm.conf", "PATH": f"{folder}/bin:{SYSTEM_PATH}"})
        finally:
            subprocess.run([ONE_NODE, "stop", folder], check=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cell that was computed without Slurm."""
    folder = tmp_path_factory.mktemp("alone")
    code, said = snakemake(folder, dict(os.environ), "--cores", "2", *STUDY, "--", CELL)
    assert code == 0, said[-8000:]
    return folder


def through_slurm(folder: Path, **settings: Any) -> list[str]:
    """A user's own copy of the profile, which asks about its jobs more often than it would on a cluster of many."""
    profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
    profile |= {"slurm-init-seconds-before-status-checks": 1, "latency-wait": 10, **settings}
    (folder / "profile").mkdir(parents=True, exist_ok=True)
    (folder / "profile" / "profile.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    return ["--workflow-profile", str(folder / "profile")]


def snakemake(
    folder: Path, environment: dict[str, str], *arguments: str, faults: Callable[[], None] | None = None
) -> tuple[int, str]:
    """Run Snakemake in ``folder`` while faults happen; return its exit status and what it said."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    running = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        if faults:
            faults()
        said = running.communicate()[1]
    except BaseException:
        running.terminate()
        print(running.communicate()[1])
        raise
    return running.returncode, said


def tables(folder: Path) -> dict[str, bytes]:
    """The bytes of every table below ``results``, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "results").rglob("*.csv")}


@pytest.mark.slow
def test_job_that_needs_more_memory_and_a_gpu_gets_them(cluster: Cluster, tmp_path: Path) -> None:
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
    code, said = snakemake(tmp_path, cluster.environment, *through_slurm(tmp_path))
    assert code == 0 and "Trying to restart" in said
    assert (tmp_path / "asked.txt").read_text(encoding="utf-8").split() == ["600", "480", "0", "main"]


@pytest.mark.slow
def test_study_through_a_bad_day_has_the_tables_of_one_without_slurm(
    cluster: Cluster, alone: Path, tmp_path: Path
) -> None:
    """A node that is drained, one that goes down, a cancelled job; then one out of time and one out of memory."""

    def bad_morning() -> None:
        unpacking = cluster.wait_for_job("unpack_dataset", "RUNNING")
        cluster.set_node("drain")
        wait_until(lambda: cluster.jobs("index_category", "PENDING"), "jobs that wait for the drained node")
        assert [job.state for job in cluster.jobs() if job.id == unpacking.id] == ["COMPLETED"]
        cluster.set_node("resume")

        packing, _ = cluster.wait_for_script("pack_category")
        cluster.set_node("down")
        wait_until(lambda: packing.id in [job.id for job in cluster.jobs("", "PENDING")], "the job back in the queue")
        cluster.set_node("resume")

        extracting, _ = cluster.wait_for_script("extract_features")
        cluster.cancel(extracting)

    features = f"{BRICK}/train/features/imagenet.h5"
    once = [*through_slurm(tmp_path, retries=0), *STUDY, "--", features]
    code, said = snakemake(tmp_path, cluster.environment, *once, faults=bad_morning)
    (cancelled,) = cluster.jobs("extract_features", "CANCELLED")
    assert code == 1
    assert f"SLURM-job '{cancelled.id}' failed, SLURM status is: 'CANCELLED'" in said
    assert "Error in rule extract_features" in said and said.count("Error in rule") == 1
    assert not (tmp_path / features).exists()
    assert max(job.restarts for job in cluster.jobs("pack_category")) == 1

    def bad_afternoon() -> None:
        _, process = cluster.wait_for_script("embed_candidates")
        hang(process)

    asked = {
        "embed_candidates": {"runtime": "attempt"},
        "build_training_set": {"mem_mb": "350 * attempt"},
        "score_test_set": {"slurm_partition": "gpu"},
    }
    again = [*through_slurm(tmp_path, **{"set-resources": asked}), *STUDY, "--", CELL]
    code, said = snakemake(tmp_path, cluster.environment, *again, faults=bad_afternoon)
    assert code == 0, said[-8000:]
    for job in cluster.jobs():
        print(job)
    assert 0
