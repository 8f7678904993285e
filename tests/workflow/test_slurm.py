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

from tests.workflow.conda import stand_in
from tests.workflow.slurm.cluster import Cluster

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


def snakemake(folder: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run Snakemake in ``folder``; return its exit status and what it said."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def snakemake_on(
    cluster: Cluster, faults: Callable[[], None], folder: Path, environment: dict[str, str], *arguments: str
) -> tuple[int, str]:
    """Likewise, while faults happen to a cluster."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    log = folder / "said.log"
    with log.open("w", encoding="utf-8") as stream:
        cluster.submitter = subprocess.Popen(command, cwd=folder, env=environment, stderr=stream, text=True)
        try:
            faults()
            cluster.submitter.wait()
        except BaseException:
            cluster.submitter.terminate()
            cluster.submitter.wait()
            print(log.read_text(encoding="utf-8")[-8000:])
            raise
    return cluster.submitter.returncode, log.read_text(encoding="utf-8")


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
    """A node drained, then down, a job cancelled; a silent controller, a job out of time, one out of memory; conda."""
    conda = stand_in.install_beside(tmp_path / "conda")
    environment = {**conda, **cluster.environment, "PATH": f"{tmp_path}/conda/bin:{cluster.environment['PATH']}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with_conda = {"software-deployment-method": "conda"}

    def bad_morning() -> None:
        unpacking = cluster.wait_for_job("unpack_dataset", "RUNNING")
        cluster.set_node("drain")
        cluster.wait_until(lambda: cluster.jobs("index_category", "PENDING"), "jobs that wait for the drained node")
        assert [job.state for job in cluster.jobs("unpack_dataset")] == ["COMPLETED"] and unpacking.restarts == 0
        cluster.set_node("resume")

        packing = cluster.wait_for_script("pack_category")
        cluster.set_node("down")
        cluster.wait_until(
            lambda: packing.id in [job.id for job in cluster.jobs("", "PENDING")], "the job back in the queue"
        )
        cluster.set_node("resume")

        extracting = cluster.wait_for_script("extract_features")
        cluster.cancel(extracting)

    features = f"{BRICK}/train/features/lite0.h5"
    once = [*through_slurm(tmp_path, retries=0, **with_conda), *STUDY, "--", features]
    code, said = snakemake_on(cluster, bad_morning, tmp_path, environment, *once)
    (cancelled,) = cluster.jobs("extract_features")
    assert code == 1
    assert f"SLURM-job '{cancelled.id}' failed, SLURM status is: 'CANCELLED'" in said
    assert f"  in rule extract_features, {features}" in said and said.count("  in rule ") == 1
    assert not (tmp_path / features).exists()
    assert [job.restarts for job in cluster.jobs("pack_category")] == [1]
    before = {job.id for job in cluster.jobs()}

    def bad_afternoon() -> None:
        cluster.hang(cluster.wait_for_job("embed_candidates", "RUNNING"))
        log = tmp_path / "said.log"
        cluster.stop_answering(lambda: "The cluster did not say" in log.read_text(encoding="utf-8"))

    asked = {
        "embed_candidates": {"runtime": "30 * attempt - 29"},
        "train_detector": {"mem_mb": "350 * attempt"},
        "score_test_set": {"slurm_partition": "gpu"},
    }
    again = [*through_slurm(tmp_path, **{"set-resources": asked}, **with_conda), *STUDY, "--", CELL]
    code, said = snakemake_on(cluster, bad_afternoon, tmp_path, environment, *again)
    assert code == 0, said[-8000:]
    jobs = [job for job in cluster.jobs() if job.id not in before]
    for job in jobs:
        print(job)

    # what each ended as, with the minutes or megabytes that it had asked for
    assert [(job.state, job.limit) for job in jobs if job.rule == "embed_candidates"] == [
        ("TIMEOUT", "1:00"),
        ("COMPLETED", "31:00"),
    ]
    # where control groups limit memory the state is OUT_OF_MEMORY, which the plugin takes for a failure likewise
    out_of_memory, *more = [job for job in jobs if job.rule == "train_detector"]
    assert (out_of_memory.state, out_of_memory.memory) == ("FAILED", "350M")
    assert [job.memory for job in more] == ["700M", "1050M"][: len(more)] and more[-1].state == "COMPLETED"
    (log,) = (tmp_path / ".snakemake" / "slurm_logs").rglob(f"{out_of_memory.id}.log")
    assert "exceeded memory limit" in log.read_text(encoding="utf-8")
    assert str(log.relative_to(tmp_path)) in said
    assert "SLURM status is: 'TIMEOUT'" in said and said.count("Trying to restart") == 1 + len(more)
    assert {job.rule for job in jobs if job.partition == "gpu"} == {"score_test_set"}
    assert tables(tmp_path) == tables(alone) and CELL in tables(alone)
    (prefix,) = (path for path in (tmp_path / ".snakemake" / "conda").iterdir() if path.is_dir())
    assert list(prefix.glob("lib/python*/site-packages/torch/__pycache__"))  # written where it was imported from
    shutil.rmtree(prefix)  # gigabytes, which pytest would keep
