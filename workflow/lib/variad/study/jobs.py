"""The jobs of a study: those that Snakemake's dry run announces, and those whose benchmark files say what they took."""

import csv
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from variad.core.errors import UserError
from variad.datasets.adapters import SPLITS

BENCHMARKS = "results/benchmarks"
_CATEGORY = ("dataset", "category")
_TRAINING_SET = (*_CATEGORY, "scenario", "training_set")
_CELL = (*_TRAINING_SET, "detector")
# the wildcards of those rules whose cost depends on them, in the order of their benchmark files' names
WILDCARDS = {
    "index_category": (*_CATEGORY, "split"),
    "pack_category": (*_CATEGORY, "split"),
    "list_candidates": (*_CATEGORY, "word_source"),
    "embed_candidates": (*_CATEGORY, "encoder", "word_source"),
    "score_prompts": (*_CATEGORY, "scenario", "encoder", "word_source"),
    "choose_unlabelled": _TRAINING_SET,
    "build_training_set": _TRAINING_SET,
    "extract_features": (*_CATEGORY, "split", "extractor"),
    "train_detector": _CELL,
    "score_test_set": _CELL,
}


@dataclass(frozen=True)
class PlannedJob:
    """A job as its benchmark file is called: ``rule``, and its wildcards' values with dots between.

    Rules that differ in a name alone, as those of heat maps do in the detector's, share a folder of such files.
    """

    rule: str
    name: str


def dry_run(python: str, snakefile: str | Path, config: Mapping[str, Any], targets: Sequence[str]) -> str:
    """What ``snakemake --dry-run`` says of some targets, in this folder; it takes no lock, so it runs inside a job too.

    Args:
        python: the interpreter that has Snakemake.
        config: what the user gave; its section ``plan`` is left out, as it changes nothing of what runs.

    Raises:
        UserError: Snakemake ends with an error, such as a missing input.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        given = {key: value for key, value in config.items() if key != "plan"}
        file.write_text(yaml.safe_dump(given, sort_keys=False, allow_unicode=True), "utf-8")
        command = [python, "-m", "snakemake", "--dry-run", "--snakefile", str(snakefile), "--configfile", str(file)]
        done = subprocess.run([*command, "--", *targets], capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise UserError(
            f"snakemake --dry-run {' '.join(targets)}: expected a list of jobs, found: {' '.join(lines[-6:])}"
        )
    return done.stdout + done.stderr


def pending_jobs(dry_run: str) -> list[PlannedJob]:
    """The jobs that ``snakemake --dry-run`` announces, but for target rules, which do nothing.

    Raises:
        UserError: the announcement differs from Snakemake's own table of job counts.
    """
    blocks = re.split(r"^(?:local)?rule (.+):$", dry_run, flags=re.MULTILINE)
    jobs, found = [], Counter[str]()
    for rule, block in zip(blocks[1::2], blocks[2::2], strict=True):
        if benchmark := re.search(r"^    benchmark: (.+)$", block, flags=re.MULTILINE):
            jobs.append(job_of(Path(benchmark[1])))
            found[rule] += 1
    table = job_table(dry_run)
    for rule, count in found.items():
        if table.get(rule) != count:
            raise UserError(f"snakemake --dry-run: expected {table.get(rule)} jobs of rule {rule}, found {count}.")
    return jobs


def job_table(dry_run: str) -> dict[str, int]:
    """Jobs by rule in the table that Snakemake prints first; empty where there is nothing to do."""
    after = dry_run.partition("Job stats:\n")[2]
    return {rule: int(count) for rule, count in re.findall(r"^(.+?) +(\d+)$", after.partition("\ntotal ")[0], re.M)}


def finished_jobs(folder: str | Path = BENCHMARKS) -> dict[PlannedJob, Path]:
    """The jobs that left a benchmark file, with that file."""
    found = {job_of(path): path for path in sorted(Path(folder).rglob("*.tsv"))}
    return {job: path for job, path in found.items() if job.rule != "plan"}


def job_of(benchmark: Path) -> PlannedJob:
    """A job from ``.../{rule}/{name}.tsv``, or ``.../{rule}.tsv`` for a rule without wildcards."""
    if benchmark.parent.name == Path(BENCHMARKS).name:
        return PlannedJob(benchmark.stem, "")
    return PlannedJob(benchmark.parent.name, benchmark.name.removesuffix(".tsv"))


def wildcards_of(job: PlannedJob, config: Mapping[str, Any]) -> dict[str, str] | None:
    """The wildcards of a job of ``WILDCARDS``; None when a name of it is not in the config (any more)."""
    of_no_section = {
        "category": [name for dataset in config["datasets"].values() for name in dataset["categories"]],
        "split": SPLITS,
        "word_source": ["wordnet_related", "wordnet_all", "wordlist"],
    }
    known = {
        field: of_no_section[field] if field in of_no_section else config[f"{field}s"] for field in WILDCARDS[job.rule]
    }
    parts = [f"(?P<{field}>{'|'.join(re.escape(str(name)) for name in names)})" for field, names in known.items()]
    found = re.fullmatch(r"\.".join(parts), job.name)
    names = found.groupdict() if found else None
    if names and names["category"] not in config["datasets"][names["dataset"]]["categories"]:
        return None
    return names


@dataclass(frozen=True)
class Took:
    """Wall seconds of a job and the most memory that it held, GB; None where it ended before it was looked at."""

    seconds: float
    peak_gb: float | None


def read_took(path: str | Path) -> Took:
    """Read one benchmark file; of several runs the last.

    Raises:
        UserError: the file is not one of Snakemake's.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            row = list(csv.DictReader(file, delimiter="\t"))[-1]
        peak_gb = None if row["max_rss"] in ("NA", "-") else float(row["max_rss"]) * 2**20 / 1e9
        return Took(float(row["s"]), peak_gb)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: expected a benchmark file of Snakemake, found: {error!r}.") from error


def took_of(finished: Mapping[PlannedJob, Path], pending: Iterable[PlannedJob]) -> dict[PlannedJob, Took]:
    """What the finished jobs took that do not have to be done again."""
    again = set(pending)
    return {job: read_took(path) for job, path in finished.items() if job not in again}
