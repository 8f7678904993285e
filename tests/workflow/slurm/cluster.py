"""What a test does to a running cluster, and what it reads from it: jobs, the node, the processes of a job."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


@dataclass(frozen=True)
class Job:
    """A line of ``squeue``: id, the rule in the comment that Snakemake gives, partition, megabytes, minutes, state."""

    id: str
    rule: str
    partition: str
    memory: str
    limit: str
    state: str
    restarts: int


class Cluster:
    """A cluster that ``one_node.sh`` started, by the environment variables under which its commands reach it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.node = self.say("sinfo", "--noheader", "--format=%n").split()[0]

    def say(self, *command: str) -> str:
        """What one of Slurm's commands says."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def jobs(self, rule: str = "", *states: str) -> list[Job]:
        """Jobs of a rule (all of them) in one of some states (any), in the order in which they were submitted."""
        fields = "JobID:10,Comment:200,Partition:20,MinMemory:20,TimeLimit:20,State:20,Restarts:10"
        listed = self.say("squeue", "--noheader", "--states=all", "--sort=i", f"--Format={fields}").splitlines()
        found = [_read(line) for line in listed]
        return [job for job in found if rule in ("", job.rule) and (not states or job.state in states)]

    def wait_for_job(self, rule: str, *states: str) -> Job:
        """The last job of a rule, as soon as it is in one of some states."""
        return wait_until(lambda: (self.jobs(rule, *states) or [None])[-1], f"{rule}: {' or '.join(states)}")

    def wait_for_script(self, rule: str) -> tuple[Job, int]:
        """A running job of a rule and the process in which its script has begun."""

        def begun() -> tuple[Job, int] | None:
            for job in self.jobs(rule, "RUNNING"):
                for process in _processes_of(job):
                    return job, process
            return None

        return wait_until(begun, f"{rule}: its script running")

    def set_node(self, state: str) -> None:
        """Bring the node into a state: ``drain``, ``down`` or ``resume``."""
        self.say("scontrol", "update", f"nodename={self.node}", f"state={state}", "reason=test")

    def cancel(self, job: Job) -> None:
        """Cancel a job, as somebody would on another terminal."""
        self.say("scancel", job.id)


def hang(process: int) -> None:
    """Have a process stop, as one that waits for a file system which does not answer."""
    os.kill(process, signal.SIGSTOP)


def wait_until(look: Callable[[], Found | None], what: str, seconds: float = 120) -> Found:
    """What a look at the cluster finds, once it finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds:.0f} s: {what}")


def _read(line: str) -> Job:
    widths, fields, start = (10, 200, 20, 20, 20, 20, 10), [], 0
    for width in widths:
        fields.append(line[start : start + width].strip())
        start += width
    rule = fields[1].removeprefix("rule_").partition("_wildcards_")[0]
    return Job(fields[0], rule, *fields[2:6], restarts=int(fields[6]))


def _processes_of(job: Job) -> list[int]:
    """Processes that run the script of a job's rule: Snakemake names its copy of it after the script."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        runs_script = any(word.endswith(f"{job.rule}.py".encode()) for word in words)
        if runs_script and f"SLURM_JOB_ID={job.id}".encode() in variables:
            found.append(int(folder.name))
    return found
