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
        self.submitter: subprocess.Popen[str] | None = None  # whose end ends all waiting for its jobs
        self.node = self.say("sinfo", "--noheader", "--format=%n").split()[0]

    def say(self, *command: str) -> str:
        """What one of Slurm's commands says."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def jobs(self, rule: str = "", *states: str) -> list[Job]:
        """Jobs of a rule (all of them) in one of some states (any), in the order in which they were submitted."""
        fields = "JobID:10,Comment:200,Partition:20,MinMemory:20,TimeLimit:20,State:20,RestartCnt:10"
        listed = self.say("squeue", "--noheader", "--states=all", "--sort=i", f"--Format={fields}").splitlines()
        found = [_read(line) for line in listed]
        return [job for job in found if rule in ("", job.rule) and (not states or job.state in states)]

    def wait_for_job(self, rule: str, *states: str) -> Job:
        """The last job of a rule, as soon as it is in one of some states."""
        return self.wait_until(lambda: (self.jobs(rule, *states) or [None])[-1], f"{rule}: {' or '.join(states)}")

    def wait_for_script(self, rule: str) -> Job:
        """A running job of a rule whose script has begun."""

        def begun() -> Job | None:
            running = self.jobs(rule, "RUNNING")
            # Snakemake names the copy of a script that it runs after the script
            return next((job for job in running if _processes(job, f"{job.rule}.py")), None)

        return self.wait_until(begun, f"{rule}: its script running")

    def stop_answering(self, until: Callable[[], object]) -> None:
        """Have nobody learn how jobs are doing, as from a controller that is restarted, until something comes of it."""
        silent = Path(self.environment["SLURM_CONF"]).with_name("silent")
        silent.touch()
        try:
            self.wait_until(until, "what comes of a controller that does not answer")
        finally:
            silent.unlink()

    def set_node(self, state: str) -> None:
        """Bring the node into a state: ``drain``, ``down`` or ``resume``."""
        self.say("scontrol", "update", f"nodename={self.node}", f"state={state}", "reason=test")

    def cancel(self, job: Job) -> None:
        """Cancel a job, as somebody would on another terminal."""
        self.say("scancel", job.id)

    def hang(self, job: Job) -> None:
        """Have all processes of a job stop, as those that wait for a file system which does not answer."""
        for process in self.wait_until(lambda: _processes(job), f"a process of {job}"):
            os.kill(process, signal.SIGSTOP)

    def wait_until(self, look: Callable[[], Found | None], what: str, seconds: float = 600) -> Found:
        """What a look at the cluster finds, once it finds something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and (self.submitter is None or self.submitter.poll() is None):
            if found := look():
                return found
            time.sleep(0.5)
        raise TimeoutError(f"waited in vain, at most {seconds:.0f} s and as long as Snakemake ran: {what}")


def _read(line: str) -> Job:
    widths, fields, start = (10, 200, 20, 20, 20, 20, 10), [], 0
    for width in widths:
        fields.append(line[start : start + width].strip())
        start += width
    rule = fields[1].removeprefix("rule_").partition("_wildcards_")[0]
    return Job(fields[0], rule, *fields[2:6], restarts=int(fields[6]))


def _processes(job: Job, script: str = "") -> list[int]:
    """The processes of a job, or those that run its script, by what Slurm puts into their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        is_asked = any(word.endswith(script.encode()) for word in words)
        if is_asked and f"SLURM_JOB_ID={job.id}".encode() in variables:
            found.append(int(folder.name))
    return found
