"""Kills of a running study, at random moments, and whether what is there in the end is what it would have been.

    python -m tests.workflow.soak --kills 20 --workers 5 --seed 1      (make soak)

A study is started, killed, unlocked as docs/operations.md says, and started again, several times until it ends. Its
folder is then compared with that of an undisturbed run. A moment is a number of finished jobs and a time after it, so
that a busy machine is killed in the same places as a quick one.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from tests.signals import heed_interrupts
from tests.workflow.running import ROOT, TINY
from variad.core.files import sha256

FINISHED = "results/benchmarks"  # every job that ended has a file there
LONGEST = 900.0  # seconds that a busy machine may take from one moment to the next
LONGEST_AFTER = 1.5  # seconds from a job's end to the kill: about as long as a job of the tiny study takes
# folders of what differs between any two runs: what was said, how long it took, and Snakemake's own records of that
OF_A_RUN = ("results/logs", "results/benchmarks", ".snakemake/log", ".snakemake/metadata", ".snakemake/iocache", "said")
# what Snakemake's own folder must not hold once a run has ended well; of a killed job's script a copy stays for an hour
MARKS = ("locks", "incomplete", "backups", "shadow")
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Kill:
    """One kill: of ``group``, the main process with all that it started, or of one ``worker``, the process of a job."""

    kind: str
    jobs: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.kind}, {self.seconds:.2f} s after job {self.jobs}"


class Study:
    """A part of the tiny study in a folder of its own, with its temporary files in another one beside it.

    One category and scenario of it, with every kind of job and output.
    """

    def __init__(self, home: Path, cores: int = 2) -> None:
        self.folder, self.temporary, config = home / "study", home / "tmp", home / "config.yaml"
        self.temporary.mkdir(parents=True)
        part = yaml.safe_load(TINY.read_text("utf-8"))
        del part["datasets"]["elpv"]
        part["study"] |= {"scenarios": ["few_shot"], "training_sets": ["original", "generated", "generated_tuned"]}
        config.write_text(yaml.safe_dump(part, sort_keys=False), "utf-8")
        (self.folder / "said").mkdir(parents=True)
        shutil.copytree(ROOT / "resources", self.folder / "resources", ignore=shutil.ignore_patterns("downloads"))
        self._command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        self._command += ["--directory", str(self.folder), "--configfile", str(config)]
        self._cores, self._starts = cores, 0
        self._environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(self.temporary)}

    def start(self) -> subprocess.Popen[bytes]:
        """Start the study, or what is left of it, in a process group of its own."""
        self._starts += 1
        with open(self.folder / f"said/{self._starts}.txt", "wb") as said:
            return subprocess.Popen(
                [*self._command, "--cores", str(self._cores)],
                stdout=said,
                stderr=said,
                cwd=ROOT,
                env=self._environment,
                start_new_session=True,
                preexec_fn=heed_interrupts,
            )

    def finish(self) -> None:
        """Run the study to its end, which has to be a good one."""
        assert self.start().wait() == 0, self._said()

    def unlock(self) -> None:
        """What a user does after the main process was killed."""
        said = subprocess.run([*self._command, "--unlock"], capture_output=True, text=True, cwd=ROOT, check=False)
        assert said.returncode == 0, said.stderr[-4000:]

    def suffer(self, kill: Kill) -> bool:
        """Start the study and kill it in its moment; False where it had ended well by then."""
        process = self.start()
        deadline = time.monotonic() + LONGEST
        while self.finished() < kill.jobs and process.poll() is None:
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.05)
        time.sleep(kill.seconds)
        hit = _kill_group(process) if kill.kind == "group" else _kill_worker(process)
        code = process.wait(LONGEST)
        assert (code != 0) == hit, self._said()
        return hit

    def finished(self) -> int:
        """How many jobs have ended well, in all starts together."""
        return sum(1 for _ in (self.folder / FINISHED).rglob("*.tsv"))

    def _said(self) -> str:
        return (self.folder / f"said/{self._starts}.txt").read_text("utf-8", "replace")[-4000:]

    def files(self) -> dict[str, str]:
        """Hash of every file; empty for a folder, and for a file that is another one in every run."""
        found = {path.relative_to(self.folder).as_posix(): path for path in sorted(self.folder.rglob("*"))}
        return {
            name: sha256(path) if path.is_file() and not name.startswith(OF_A_RUN) else ""
            for name, path in found.items()
            if not name.startswith((".snakemake", "said"))
        }

    def left_behind(self) -> list[str]:
        """What must not be there once a run has ended: temporary files, marks of a run, processes.

        But for the empty folder that every Snakemake makes among temporary files: nothing tells whose it was.
        """
        own = self.folder / ".snakemake"
        marks = [path for mark in MARKS for path in sorted((own / mark).rglob("*")) if path.is_file()]
        living = [f"process {process.pid}: {' '.join(words)}" for process, words in _processes_of(str(self.folder))]
        snakemakes = {path for path in self.temporary.glob("snakemake*") if path.is_dir() and not any(path.iterdir())}
        left = sorted(set(self.temporary.rglob("*")) - snakemakes)
        return [*map(str, marks), *map(str, left), *living]


def _kill_group(process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    return True


def _kill_worker(process: subprocess.Popen[bytes]) -> bool:
    """Kill the first process of a job that there is, as soon as there is one."""
    while process.poll() is None:
        for job, words in _processes_of(".snakemake/scripts/"):
            if "python" in Path(words[0]).name and any(parent.pid == process.pid for parent in job.parents()):
                job.kill()
                return True
        time.sleep(0.02)
    return False


def _processes_of(part: str) -> list[tuple[psutil.Process, list[str]]]:
    """Living processes with a text in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if process.status() != psutil.STATUS_ZOMBIE and any(part in word for word in words):
                found.append((process, words))
        except psutil.NoSuchProcess:
            continue
    return found


def drawn(jobs: int, kinds: Sequence[str], rng: random.Random) -> list[Kill]:
    """Kills of one study, one after the other, at random moments of its ``jobs``."""
    moments = sorted(rng.randrange(jobs - 1) for _ in kinds)
    return [
        Kill(kind, moment, rng.uniform(0, LONGEST_AFTER))
        for kind, moment in zip(rng.sample(kinds, len(kinds)), moments, strict=True)
    ]


def endured(home: Path, kills: Sequence[Kill], whole: Study) -> tuple[int, list[str]]:
    """Kill a study as often as asked, and let it end.

    Returns:
        How many kills came before its end, and what is not as in an undisturbed study; empty if all is.
    """
    study, shared, hits = Study(home), set(SHARED_MEMORY.iterdir()), 0
    for kill in kills:
        hit = study.suffer(kill)
        hits += hit
        print(f"  {kill}: {'killed' if hit else 'it had ended before'}", flush=True)
        if kill.kind == "group":
            study.unlock()
    study.finish()
    expected, found = whole.files(), study.files()
    faults = [f"{name}: lacking" for name in sorted(expected.keys() - found.keys())]
    faults += [f"{name}: left behind" for name in sorted(found.keys() - expected.keys())]
    faults += [
        f"{name}: another content" for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]
    ]
    faults += [f"{name}: left behind" for name in study.left_behind()]
    remain = [path for path in sorted({*SHARED_MEMORY.iterdir()} - shared) if not _is_in_use(path)]
    return hits, faults + [f"{path}: left behind" for path in remain]


def _is_in_use(path: Path) -> bool:
    """Whether a living process has a file of shared memory: tests beside this one may."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            if str(path) in maps.read_text():
                return True
    return False


def main() -> None:
    """Kill studies, print every kill and what it changed, and end with status 1 where it changed anything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=5, help="so many of these are of one job's process")
    parser.add_argument("--together", type=int, default=4, help="kills of one study")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    kinds = ["worker"] * arguments.workers + ["group"] * (arguments.kills - arguments.workers)
    rng.shuffle(kinds)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Study(Path(scratch) / "undisturbed")
        begin = time.monotonic()
        whole.finish()
        jobs = whole.finished()
        print(f"undisturbed: {jobs} jobs, {time.monotonic() - begin:.0f} s, {len(whole.files())} files", flush=True)
        killed = faulty = 0
        for number, first in enumerate(range(0, len(kinds), arguments.together), 1):
            kills = drawn(jobs, kinds[first : first + arguments.together], rng)
            print(f"study {number}:", flush=True)
            begin = time.monotonic()
            hits, faults = endured(Path(scratch) / str(number), kills, whole)
            killed += hits
            for fault in faults:
                print(f"  {fault}")
            faulty += bool(faults)
            ended = "as undisturbed" if not faults else "not as undisturbed"
            print(f"  {ended}, {time.monotonic() - begin:.0f} s", flush=True)
            shutil.rmtree(Path(scratch) / str(number))
    print(
        f"{killed} of {len(kinds)} kills hit, seed {arguments.seed}: {faulty} studies ended otherwise than undisturbed"
    )
    sys.exit(faulty > 0)


if __name__ == "__main__":
    main()
