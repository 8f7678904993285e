"""A run on the terminal: how long the rest takes, what is written where, and errors as a sentence."""

import io
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from variad.core.errors import UserError
from variad.core.private_apis import take_terminal
from variad.study import sizes
from variad.study.terminal import Progress, RunDisplay, progress_of, sentence_of

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def progress(costs: list[float], rules: str, cores: int = 1) -> Progress:
    return Progress(dict(enumerate(costs)), dict(enumerate(rules)), cores)


def ran(made: Progress, *spans: tuple[int, float, float]) -> Progress:
    """Jobs with the seconds at which they started and ended."""
    for job, start, end in spans:
        made.start(job, start)
        made.finish(job, end)
    return made


def test_nothing_is_known_before_a_job_has_ended() -> None:
    made = progress([1, 1], "aa")
    made.start(0, 0.0)
    assert made.left(5.0) is None


def test_the_rest_is_what_it_was_thought_to_be_where_jobs_took_that() -> None:
    made = ran(progress([2, 4, 6, 8], "aabb"), (0, 0, 2), (1, 2, 6))
    assert made.left(6.0) == pytest.approx(14)  # one after the other


def test_two_at_a_time_take_half() -> None:
    made = ran(progress([4, 4, 7, 7], "aabb", cores=2), (0, 0, 4), (1, 0, 4))
    assert made.left(4.0) == pytest.approx(7)


def test_a_slow_machine_is_slow_throughout_and_a_slow_rule_alone_where_others_are_not() -> None:
    slow = ran(progress([1] * 8, "aaaabbbb"), *((job, 3 * job, 3 * job + 3) for job in range(4)))
    # a: (12 + 3) / (4 + 3) with ratio 1 expected of all: 15 / 7; the same again expected of b, of which nothing ran
    assert slow.left(12.0) == pytest.approx(4 * 15 / 7)
    mixed = progress([1] * 40, "a" * 20 + "b" * 20)
    ran(
        mixed,
        *((job, job, job + 1) for job in range(10)),
        *((20 + job, 10 + 9 * job, 19 + 9 * job) for job in range(10)),
    )
    # ten of each rule: of a 1 s, of b 9 s, both drawn a little to what all took, 5 s
    assert 10 * (1 + 9) * 0.8 < mixed.left(100.0) < 10 * (1 + 9) * 1.2


def test_what_runs_counts_for_what_is_left_of_it() -> None:
    made = ran(progress([10, 10, 10], "aaa"), (0, 0, 10))
    made.start(1, 10.0)
    assert made.left(16.0) == pytest.approx(14)
    assert made.left(40.0) == pytest.approx(10 / (40 / 40))  # longer than thought: nothing, and the third


def test_jobs_that_wait_for_each_other_are_not_shared_by_cores() -> None:
    """Two a time so far; then a chain of three, the first of which has run for 2 of 4 s, beside one of 4 s."""
    made = Progress(dict.fromkeys(range(6), 4.0), dict.fromkeys(range(6), "a"), 2, {3: [0, 2], 4: [3, 1]})
    ran(made, (0, 0, 4), (1, 0, 4))
    made.start(2, 4.0)
    assert made.left(6.0) == pytest.approx(2 + 4 + 4)  # not (2 + 4 + 4 + 4) / (10 / 6) = 8.4
    wide = Progress(dict.fromkeys(range(6), 4.0), dict.fromkeys(range(6), "a"), 2, {3: [0, 1]})
    ran(wide, (0, 0, 4), (1, 0, 4))
    wide.start(2, 4.0)
    assert wide.left(6.0) == pytest.approx((2 + 12) / (10 / 6))


def test_a_job_that_is_tried_again_is_not_done() -> None:
    made = ran(progress([1, 1], "aa"), (0, 0, 1))
    made.start(1, 1.0)
    made.fail(1)
    assert made.took.keys() == {0} and not made.started


def record(event: str = "", message: str = "", level: int = logging.INFO, **told: object) -> logging.LogRecord:
    made = logging.LogRecord("snakemake.logging", level, "", 0, message, None, None)
    made.__dict__.update(told, event=SimpleNamespace(value=event) if event else None)
    return made


def display(stream: io.StringIO, clock: Clock, jobs: int = 4) -> RunDisplay:
    made = RunDisplay(stream, clock)
    made.begin(progress([60.0] * jobs, "a" * jobs), "(costs of a machine)")
    return made


def test_a_file_has_a_line_a_percent() -> None:
    stream, clock = io.StringIO(), Clock()
    shown = display(stream, clock, 1000)
    for job in range(1000):
        shown.handle(record("job_started", jobs=[job]))
        clock.now += 1
        shown.handle(record("job_finished", job_id=job))
    shown.end()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "1,000 jobs, about 16.7 h on 1 core (costs of a machine)"
    assert (
        lines[1] == "0 %: 1 of 1,000 jobs, 0:01 gone, about 9:29:13 left"
    )  # 999 x 60 x .57: one job is believed in part
    assert lines[-2].startswith("99 %: 990 of 1,000 jobs, ") and lines[-1] == "1,000 of 1,000 jobs done in 17 min"
    assert len(lines) == 1 + 100 + 1


def test_the_last_seconds_are_not_counted() -> None:
    stream, clock = io.StringIO(), Clock()
    shown = RunDisplay(stream, clock)
    shown.begin(progress([60.0, 60.0, 15.0], "aab"), "(costs of a machine)")
    for job, end in enumerate((60.0, 120.0)):
        shown.handle(record("job_started", jobs=[job]))
        clock.now = end
        shown.handle(record("job_finished", job_id=job))
    assert stream.getvalue().splitlines()[1:] == [
        "33 %: 1 of 3 jobs, 1:00 gone, about 1:15 left",
        "66 %: 2 of 3 jobs, 2:00 gone, less than half a minute left",
    ]


def test_a_terminal_has_one_line() -> None:
    stream, clock = Terminal(), Clock()
    shown = display(stream, clock)
    shown.handle(record("job_started", jobs=[0, 1]))
    clock.now += 30
    shown.handle(record("job_finished", job_id=0))
    shown.handle(record(message="a word", level=logging.WARNING))
    shown.end(well=False)
    text = stream.getvalue()
    assert "\r\x1b[K[#####...............] 25 %: 1 of 4 jobs, 0:30 gone, about" in text
    assert text.count("\n") == 3
    plain = re.sub(r"\r\x1b\[K[^\r\n]*\r|\r\x1b\[K", "", text).splitlines()
    assert plain[1:] == ["warning: a word", "1 of 4 jobs done in 30 s; the same command goes on from there"]


def test_a_failed_job_is_named_and_its_sentence_told_where_it_could_not_do_so_itself(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("12:00:00 working\nerror: photos/1.png: expected an image, found an empty file.\n")
    told = {"jobid": 2, "rule_name": "pack_category", "output": ["results/x.h5"], "log": [str(log)]}
    for here, expected in ((True, []), (False, ["error: photos/1.png: expected an image, found an empty file."])):
        stream = io.StringIO()
        shown = RunDisplay(stream, Clock())
        shown.begin(progress([1.0], "a"), "", here)
        for _ in range(2):
            shown.handle(record("job_error", "Error in rule", logging.ERROR, **told))
        lines = stream.getvalue().splitlines()[1:]
        named = "  in rule pack_category, results/x.h5"
        assert lines == [*expected, f"{named}; log: {log}", *expected, f"{named}, once more; log: {log}"]


def test_how_a_cluster_ended_a_job_is_told_first() -> None:
    message = "SLURM-job '5' failed, SLURM status is: 'CANCELLED'."
    told = {"jobid": 0, "rule_name": "a", "output": ["x.h5"], "log": [], "rule_msg": message}
    for here, expected in ((True, []), (False, [message])):
        stream = io.StringIO()
        shown = RunDisplay(stream, Clock())
        shown.begin(progress([1.0], "a"), "", here)
        shown.handle(record("job_error", "Error in rule", logging.ERROR, **told))
        assert stream.getvalue().splitlines()[1:] == [*expected, "  in rule a, x.h5"]


def test_the_end_of_a_log_is_told_where_there_is_no_sentence(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    stream = io.StringIO()
    shown = RunDisplay(stream, Clock())
    shown.begin(progress([1.0], "a"), "", False)
    shown.handle(record("job_error", "", logging.ERROR, jobid=0, rule_name="a", output=[], log=[str(log)]))
    lines = stream.getvalue().splitlines()[1:]
    assert lines[0] == "  | line 30" and lines[-2] == "  | line 49" and lines[-1] == f"  in rule a; log: {log}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("WorkflowError:\nconfig key x: expected 32, found -3.", "config key x: expected 32, found -3."),
        (
            'InputFunctionException in rule everything in file "/x/Snakefile", line 111:\nError:\n  WorkflowError:\n'
            "    config key selection.datasets: expected one of mine, found 'elpv'.\nWildcards:\n\nTraceback:\n"
            '  File "/x/targets.smk", line 113, in selection_files',
            "config key selection.datasets: expected one of mine, found 'elpv'.",
        ),
        ("MissingRuleException:\nNo rule to produce nosuch.", "No rule to produce nosuch."),
        ('RuleException:\nCalledProcessError in file "/x", line 3:\nCommand failed', ""),
        ("Error: cores have to be specified", "Error: cores have to be specified"),
    ],
)  # fmt: skip
def test_an_error_is_its_sentence(text: str, sentence: str) -> None:
    assert sentence_of(text) == sentence


def test_only_what_nobody_has_to_act_on_is_left_out() -> None:
    stream = io.StringIO()
    shown = RunDisplay(stream, Clock())
    called = []
    shown.idle = lambda: called.append(1)
    unlocked = "Unlocked working directory."
    of_a_report = (
        "Adding summary.csv (31.5 KB).",
        "Adding a sheet (1).png (812 B).",
        "Loading script code for rule plan",
    )
    told = ("Building DAG of jobs...", "Complete log(s): x", "None", unlocked, "Select jobs to execute...")
    for message in (*told, *of_a_report):
        shown.handle(record(message=message))
    shown.handle(record("error", "WorkflowError:\nAt least one job did not complete successfully.", logging.ERROR))
    assert not called
    shown.handle(record(message="Nothing to be done (all requested files are present and up to date)."))
    assert stream.getvalue().splitlines() == [
        unlocked, "Nothing to be done (all requested files are present and up to date).",
    ]  # fmt: skip
    assert called == [1]


def workflow(**settings: object) -> SimpleNamespace:
    chosen = {
        "verbose": False,
        "printshellcmds": False,
        "debug_dag": False,
        "quiet": None,
        "dryrun": False,
        "main": True,
    }
    chosen |= settings
    manager = SimpleNamespace(settings=SimpleNamespace(**chosen))
    return SimpleNamespace(logger_manager=manager, is_main_process=chosen["main"])


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({}, True), ({"verbose": True}, False), ({"printshellcmds": True}, False), ({"dryrun": True}, False),
        ({"main": False}, False), ({"quiet": ["Quietness.ALL"]}, False), ({"debug_dag": True}, False),
    ],
)  # fmt: skip
def test_the_terminal_is_taken_where_nobody_asked_for_snakemakes_own_words(settings: dict, taken: bool) -> None:
    logger, default, ours = logging.Logger("x"), logging.NullHandler(), RunDisplay(io.StringIO())
    default.name = "DefaultStreamHandler"
    logger.addHandler(default)
    assert take_terminal(workflow(**settings), logger, ours) is taken
    assert logger.handlers == [ours if taken else default]


@dataclass(frozen=True)
class Job:
    """Snakemake's, as far as it is looked at."""

    rule: SimpleNamespace = field(compare=False)
    number: int

    @property
    def benchmark(self) -> str | None:
        return None if self.rule.name == "all" else f"results/benchmarks/{self.rule.name}/x.tsv"


def test_jobs_are_counted_where_a_table_of_images_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(config: dict) -> None:
        raise UserError("manifest.csv: expected a table, found another file.")

    monkeypatch.setattr(sizes, "sizes_of", damaged)
    names = {1: "pack_category", 2: "all"}
    jobs = {number: Job(SimpleNamespace(name=name), number) for number, name in names.items()}
    done = Job(SimpleNamespace(name="index_category"), 0)
    dag = SimpleNamespace(
        jobid=lambda job: job.number,
        needrun_jobs=lambda: list(jobs.values()),
        job_dependencies=lambda job: {1: [done], 2: [jobs[1], done]}[job.number],
    )
    run = SimpleNamespace(dag=dag, local_exec=True, resource_settings=SimpleNamespace(cores=2, nodes=None))
    found, about = progress_of(run, {}, ROOT / "benchmarks" / "rule_costs.csv")
    assert (found.costs, found.rules, found.cores) == ({1: 1.0, 2: 0.0}, names, 2)
    assert found.needs == {1: [], 2: [1]}
    assert about.startswith("(costs of ")
