"""A run on the terminal: what it will do, one line that says how far it is, and errors as one sentence.

On a terminal the line is written over and over; in a file there is a line for each percent. The log that Snakemake
writes of every run, ``.snakemake/log``, has all that is left out here.
"""

import logging
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, TextIO

from variad.core.errors import UserError

BAR = 20  # characters
TRUST = 3.0  # jobs of a rule that have to end before its own costs count as much as those of all rules
SOON = 20.0  # seconds; fewer are not counted, as a job more or less is a quarter of them
LEAST = 0.2  # seconds that a job takes at least, as it starts a process
SHOWN_LINES = 20  # of the log of a job that failed without a sentence
# what Snakemake says of every run and nobody has to act on; anything else of its words is passed on
NOISE = re.compile(
    "|".join([
        r"host: ", r"Building DAG of jobs", r"Using (shell|workflow specific profile)", r"Provided (cores|resources)",
        r"Rules claiming more threads", r"Job stats:", r"Select jobs to execute", r"Execute \d+ jobs",
        r"Assuming unrestricted shared", r"(Conda|Singularity|Apptainer|Group).*(ignored|inactive)", r"Complete log",
        r"(Removing|Touching|Write-protecting|Storing) ", r"Elapsed time", r"Shutting down", r"Finished jobid",
        r"Exiting because a job", r"Waiting at most", r"\d+ jobs? left", r"SNAKEMAKE",
        r"RuleException", r"Cannot restore ", r"Updating (jobs|checkpoint)", r"Workflow defines that rule",
        r"At least one job did not",
        r"Retrieving from storage", r"Finished (upload|retrieval)", r"Skipped removing non-empty",
        r"Adding .+ \([\d.]+ [KMG]?B\)", r"Loading script code",
        r"No SLURM account given", r"No account was given", r"Unable to guess SLURM account", r"Cleaning up SLURM log",
    ])
)  # fmt: skip


@dataclass
class Progress:
    """How far a run is, and how long the rest takes.

    Costs are what jobs are thought to take before any has run; what has run corrects them, rule by rule. What is left
    is shared by as many jobs at a time as have run so far, and takes no less than jobs that wait for each other.

    Attributes:
        costs: seconds that each job is thought to take, by its number.
        rules: each job's rule.
        cores: jobs at a time, until some have ended.
        needs: the jobs that have to end before each.
    """

    costs: Mapping[int, float]
    rules: Mapping[int, str]
    cores: int
    needs: Mapping[int, Collection[int]] = field(default_factory=dict)
    started: dict[int, float] = field(default_factory=dict)
    took: dict[int, float] = field(default_factory=dict)
    begun: float = 0.0

    def __post_init__(self) -> None:
        self._order = list(TopologicalSorter({job: self.needs.get(job, ()) for job in self.costs}).static_order())

    def begin(self, now: float) -> None:
        """The run begins."""
        self.begun = now

    def start(self, job: int, now: float) -> None:
        """A job begins, maybe once more."""
        self.started[job] = now

    def finish(self, job: int, now: float) -> None:
        """A job has ended well."""
        begun = self.started.pop(job, None)
        if job in self.costs and begun is not None:
            self.took[job] = now - begun

    def fail(self, job: int) -> None:
        """A job has not ended well; it may be tried again."""
        self.started.pop(job, None)

    @property
    def total(self) -> int:
        """Jobs in all."""
        return len(self.costs)

    def left(self, now: float) -> float | None:
        """Seconds that the rest takes; None before anything has ended."""
        if not self.took:
            return None
        of_all = self._ratio(self.took, 1.0)
        by_rule: dict[str, list[int]] = {}
        for job in self.took:
            by_rule.setdefault(self.rules[job], []).append(job)
        ratios = {rule: self._ratio(jobs, of_all) for rule, jobs in by_rule.items()}
        rest = {job: cost * ratios.get(self.rules[job], of_all) for job, cost in self.costs.items()}
        work = sum(seconds for job, seconds in rest.items() if job not in self.took and job not in self.started)
        running = {job: max(rest[job] - (now - begun), 0.0) for job, begun in self.started.items() if job in rest}
        until: dict[int, float] = {}  # each has ended, if no core were wanting
        for job in self._order:
            if job not in self.took:
                before = [until[one] for one in self.needs.get(job, ()) if one in until]
                until[job] = max(before, default=0.0) + running.get(job, rest[job])
        at_once = (sum(self.took.values()) + sum(now - begun for begun in self.started.values())) / (now - self.begun)
        shared = (work + sum(running.values())) / min(max(at_once, 0.5), self.cores)
        return max(shared, *until.values(), 0.0)

    def _ratio(self, jobs: Iterable[int], expected: float) -> float:
        """Seconds that jobs took by seconds that they were thought to take; few of them are believed in part."""
        jobs = list(jobs)
        thought = sum(self.costs[job] for job in jobs)
        trust = TRUST * thought / len(jobs)
        return (sum(self.took[job] for job in jobs) + trust * expected) / (thought + trust) if thought else expected


class RunDisplay(logging.Handler):
    """Takes what Snakemake logs, in the place of its own stream.

    Attributes:
        idle: is called where there is nothing to do.

    Args:
        stream: the terminal or a file.
        clock: seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.INFO)
        self._stream, self._clock = stream or sys.stderr, clock
        self._live = bool(getattr(self._stream, "isatty", bool)())
        self._progress: Progress | None = None
        self._shown, self._shown_at = -1, -math.inf
        self._line = ""
        self._failed: set[str] = set()
        self._jobs_speak = True
        self.idle: Callable[[], None] = lambda: None
        self._ended = threading.Event()

    def begin(self, progress: Progress, about: str, jobs_speak: bool = True) -> None:
        """The jobs are known, and the first is about to start.

        Args:
            about: ends the first line.
            jobs_speak: whether jobs write to this terminal themselves, as those of this machine do.
        """
        self._progress, self._jobs_speak = progress, jobs_speak
        progress.begin(self._clock())
        seconds = sum(progress.costs.values()) / max(1, progress.cores)
        jobs = f"{progress.total:,} job{'' if progress.total == 1 else 's'}"
        self._say(f"{jobs}, about {_words(seconds)} on {progress.cores} core{'s' * (progress.cores > 1)} {about}")
        if self._live:
            threading.Thread(target=self._tick, daemon=True).start()

    def end(self, well: bool = True) -> None:
        """The run is over; what is said from now on follows the last line."""
        self._ended.set()
        with self.lock or threading.RLock():
            self._clear()
            if self._progress is not None and self._progress.took:
                took = self._clock() - self._progress.begun
                done = f"{len(self._progress.took):,} of {self._progress.total:,} jobs done in {_words(took)}"
                self._say(done if well else f"{done}; the same command goes on from there")
            self._progress = None

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler.emit``."""
        try:
            self._take(record, str(getattr(getattr(record, "event", None), "value", "") or ""))
        except Exception:
            self.handleError(record)

    def _take(self, record: logging.LogRecord, event: str) -> None:
        progress, now = self._progress, self._clock()
        if event == "job_started":
            for job in _jobs_of(record):
                if progress is not None:
                    progress.start(job, now)
        elif event == "job_finished":
            if progress is not None:
                progress.finish(int(record.__dict__["job_id"]), now)
            self._refresh()
        elif event in ("job_error", "group_error"):
            self._say_failure(record.__dict__)
        elif event == "error":
            self._say_error(record.getMessage())
        elif not event or event == "run_info":
            text = record.getMessage().strip()
            if text and text != "None" and not NOISE.match(text):
                self._say(f"warning: {text}" if record.levelno == logging.WARNING else text)
            if text.startswith("Nothing to be done"):
                self.idle()

    def _say_failure(self, told: Mapping[str, Any]) -> None:
        """The sentence that a job's log ends with, which job it was, and where the log is."""
        if self._progress is not None and "jobid" in told:
            self._progress.fail(int(told["jobid"]))
        logs, outputs = ([str(path) for path in told.get(name) or ()] for name in ("log", "output"))
        named = f"{told.get('rule_name')}{f', {outputs[0]}' if outputs else ''}"
        again = ", once more" if named in self._failed else ""
        self._failed.add(named)
        where = f"; log: {', '.join(logs)}" if logs else ""
        reasons = [] if self._jobs_speak else [line for path in logs for line in _why(path)]
        if not self._jobs_speak and told.get("rule_msg"):  # how the job ended, as the cluster has it
            reasons.insert(0, str(told["rule_msg"]).strip())
        self._say("\n".join([*reasons, f"  in rule {named}{again}{where}"]))

    def _say_error(self, text: str) -> None:
        """What Snakemake could not plan or run, as its sentence."""
        sentence = sentence_of(text)
        if sentence and not NOISE.match(sentence):
            self._say(f"error: {sentence.removeprefix('Error: ')}")  # which some of Snakemake's begin with

    def _refresh(self) -> None:
        progress = self._progress
        if progress is None or not progress.total:
            return
        done = len(progress.took)
        percent = 100 * done // progress.total
        now = self._clock()
        # in a file at most a line a second; the end has a line of its own
        if not self._live and not (percent > self._shown and done < progress.total and now >= self._shown_at + 1):
            return
        left = progress.left(now)
        rest = ""
        if left is not None and done < progress.total:
            rest = f", about {_clock_words(left)} left" if left >= SOON else ", less than half a minute left"
        told = f"{percent} %: {done:,} of {progress.total:,} jobs, {_clock_words(now - progress.begun)} gone{rest}"
        if self._live:
            filled = BAR * done // progress.total
            names = ", ".join(sorted({progress.rules.get(job, "") for job in progress.started}))
            self._line = f"[{'#' * filled}{'.' * (BAR - filled)}] {told}  {names}"
            self._draw()
        else:
            self._shown, self._shown_at = percent, now
            self._say(told)

    def _tick(self) -> None:
        while not self._ended.wait(1.0):
            with self.lock or threading.RLock():
                self._refresh()

    def _draw(self) -> None:
        width = _columns(self._stream) - 1
        # the cursor goes back to the beginning, so that whatever a job prints comes over it and not behind it
        self._stream.write(f"\r\x1b[K{self._line[:width]}\r")
        self._stream.flush()

    def _clear(self) -> None:
        if self._live and self._line:
            self._stream.write("\r\x1b[K")
            self._line = ""

    def _say(self, text: str) -> None:
        line = self._line
        self._clear()
        self._stream.write(f"{text}\n")
        self._stream.flush()
        if line and not self._ended.is_set():
            self._line = line
            self._draw()


def sentence_of(text: str) -> str:
    """The sentence of an error as Snakemake prints it: without its class, its traceback and the places in its files.

    What has no such form comes back as it is.
    """
    lines = [line.rstrip() for line in text.strip().splitlines()]
    if not lines or NOISE.match(lines[0]):
        return ""
    inside = [at for at, line in enumerate(lines) if re.fullmatch(r"\s*(\w+(Error|Exception)|Error)( in .*)?:", line)]
    if not inside:
        return "\n".join(lines)
    kept = []
    for line in lines[inside[-1] + 1 :]:
        if not line.strip() or re.match(r"\s*(Wildcards|Traceback|Input files|Affected)\b.*:|\s*File \"", line):
            break
        kept.append(line.strip())
    return "\n".join(kept)


def progress_of(workflow: Any, config: Mapping[str, Any], costs_file: Path) -> tuple[Progress, str]:
    """The jobs that a run is about to do, with what they are thought to take, and whose costs these are.

    Args:
        workflow: Snakemake's, whose ``dag`` is built.
    """
    from variad.study.jobs import job_of
    from variad.study.sizes import Study, sizes_of
    from variad.study.work import estimate, read_costs

    jobs = {int(workflow.dag.jobid(job)): job for job in workflow.dag.needrun_jobs()}
    planned = {number: job_of(Path(str(job.benchmark))) for number, job in jobs.items() if job.benchmark}
    costs = read_costs(costs_file)
    try:
        known = estimate(planned.values(), Study(config, sizes_of(config)), costs).seconds
    except UserError:  # a damaged table of images: the job that reads it says so, or target verify
        known = {}
    usual: dict[str, list[float]] = {}
    for job, seconds in known.items():
        usual.setdefault(job.rule, []).append(seconds)
    every = [seconds for found in usual.values() for seconds in found] or [1.0]
    thought = {}
    for number in jobs:
        if number not in planned:  # target rules, which do nothing
            thought[number] = 0.0
            continue
        same = usual.get(planned[number].rule, every)
        thought[number] = max(known.get(planned[number], sum(same) / len(same)), LEAST)
    cores = workflow.resource_settings.cores if workflow.local_exec else workflow.resource_settings.nodes
    at_once = cores if isinstance(cores, int) and cores > 0 else 1
    rules = {number: job.rule.name for number, job in jobs.items()}
    number_of = {job: number for number, job in jobs.items()}
    before = {number: workflow.dag.job_dependencies(job) for number, job in jobs.items()}
    needs = {number: [number_of[one] for one in found if one in number_of] for number, found in before.items()}
    return Progress(thought, rules, at_once, needs), f"(costs of {costs.machine})"


def _why(path: str) -> list[str]:
    """The sentences of a job's log that say why it failed, or its last lines."""
    try:
        lines = Path(path).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    sentences = [line for line in lines if line.startswith("error: ")]
    return sentences or [f"  | {line}" for line in lines[-SHOWN_LINES:]]


def _jobs_of(record: logging.LogRecord) -> list[int]:
    jobs = record.__dict__.get("jobs", ())
    return [jobs] if isinstance(jobs, int) else [int(job) for job in jobs]


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _clock_words(seconds: float) -> str:
    """``3:07`` minutes or ``2:03:07`` hours."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
