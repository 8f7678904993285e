"""What planning a study costs, by its number of jobs: CPU seconds, whose they are, and memory.

    python benchmarks/planning.py --output benchmarks/planning.csv   # plans, and a study to its end part by part
    python benchmarks/planning.py --categories 18 --checkout DIR     # plans by another version
    python benchmarks/planning.py --list FILE --configfile FILE      # every job of a plan, to compare two versions

The studies are of the default's recipes and all four detectors on folders of photographs, 72 cells a category. Jobs of
``--run`` make empty files in this process, in place of starting their scripts: what is left is what Snakemake takes.
"""

import argparse
import json
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
SAMPLE_S = 0.005  # CPU seconds between two looks at who is computing
CELLS = 72  # of a category: three scenarios, six training sets, four detectors
COLUMNS = (
    *("what", "jobs", "cells", "cpu_s", "ours_s", "ms_a_job", "ours_ms_a_job", "peak_gb"),
    *("wall_s", "calls", "machine", "python", "snakemake"),
)
PHOTOGRAPHS = ("train/good/1.png", "train/good/2.png", "test/good/1.png", "test/bad/1.png", "unlabelled/1.png")
DETECTORS = ("patchcore", "cflow", "reverse_distillation", "efficientad")
# the rules that put categories together, and what they make
JOINING = ("aggregate_metrics", "record_provenance", "plot_gains", "build_gallery")
JOINED = (
    *("results/tables/summary.csv", "results/tables/provenance.json"),
    *("results/figures/gains.png", "results/gallery/index.html"),
)
# what the end of a run reads of a category
TURNING = {"turns": False, "ratio": None, "limit": 1.0, "candidates": 0, "shots": {}, "sentence": "No photographs."}
BENCHMARK_RECORD = 12  # among the arguments that follow a script's outputs
INVENTORY = "path,used_as,split,defect,image_id,remark\n"
SETS = ("original", "generated", "generated_tuned", "unlabelled", "duplicated", "augmented_sharpen")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--categories", type=int, nargs="*", default=[2, 18, 74], help="of the studies that are planned"
    )
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help="the version that is measured")
    parser.add_argument("--list", type=Path, help="write every job of a plan to this file")
    parser.add_argument("--configfile", type=Path, nargs="+", help="of the plan that is listed")
    parser.add_argument("--targets", nargs="+", default=["all"])
    parser.add_argument("--run", type=int, help="categories of a study that is run to its end")
    parser.add_argument("--parts", type=int, default=1, help="how many parts it is run in")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(json.loads(arguments.child))
        return
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.list:
            configs = [str(path.resolve()) for path in arguments.configfile or []]
            words = [*(["--configfile", *configs] if configs else []), "--dry-run", "--quiet", "rules", "--"]
            _measured(arguments.checkout, Path(scratch), [*words, *arguments.targets], jobs=arguments.list.resolve())
            return
        rows = _plans(arguments, Path(scratch) / "plans")
        rows += _run(arguments, Path(scratch) / "run") if arguments.run else []
    sys.path.insert(0, str(HERE))
    from timing import machine, write_rows

    versions = {"python": platform.python_version(), "snakemake": metadata.version("snakemake")}
    rows = [{"machine": machine("cpu"), **versions, **row} for row in rows]
    if arguments.output:
        write_rows(arguments.output, COLUMNS, rows)


def _plans(arguments: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """One plan of nothing done for each number of categories."""
    rows = []
    for categories in arguments.categories:
        words = [*study(scratch, categories), "--dry-run", "--quiet", "rules"]
        rows.append(_row("plan", categories, [_measured(arguments.checkout, scratch, words)]))
    return rows


def _run(arguments: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """A study to its end, part by part and then what is left, and a plan of it when there is nothing left to do."""
    words, categories = study(scratch, arguments.run), arguments.run
    common = [*words, "--cores", str(arguments.cores), "--quiet", "rules"]
    checkout = arguments.checkout
    started = [
        _measured(checkout, scratch, [*common, "--config", f"part={part}/{arguments.parts}", "--", "part"], stub=True)
        for part in range(1, arguments.parts + 1)
        if arguments.parts > 1
    ]
    rows = [_row("parts", categories, started)] if started else []
    allowed = ["--allowed-rules", *JOINING] if started else []
    last = _measured(checkout, scratch, [*common, *allowed, "--", *(JOINED if started else ["all"])], stub=True)
    rows.append(_row("joining" if started else "all", categories, [last]))
    done = _measured(checkout, scratch, [*words, "--dry-run", "--quiet", "rules"])
    return [*rows, _row("plan of nothing to do", categories, [done])]


def study(folder: Path, categories: int) -> list[str]:
    """Make a study of so many categories in a folder; what Snakemake is told of it."""
    names = [f"c{number:04}" for number in range(categories)]
    for name in names:
        for photograph in PHOTOGRAPHS:
            path = folder / "photographs" / name / photograph
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    config = {
        "datasets": {
            "lids": {
                "adapter": "folder",
                "path": "photographs",
                "prompts": {"word_source": "wordnet_related"},
                "categories": {name: {"class_name": "lid"} for name in names},
            }
        },
        "study": {
            "scenarios": ["one_shot", "few_shot", "full_shot"],
            "training_sets": SETS,
            "detectors": DETECTORS,
            "keep_map_runs": [0],
        },
    }
    file = folder / "config.json"
    file.write_text(json.dumps(config), "utf-8")
    return ["--configfile", str(file)]


def _measured(
    checkout: Path, folder: Path, words: list[str], stub: bool = False, jobs: Path | None = None
) -> dict[str, Any]:
    """What one call of Snakemake took, in a process of its own."""
    with tempfile.TemporaryDirectory() as answers:
        answer = Path(answers) / "answer.json"
        request = {
            "checkout": str(checkout.resolve()),
            "words": ["--snakefile", str(checkout.resolve() / "Snakefile"), "--directory", str(folder), *words],
            "stub": stub,
            "folder": str(folder),
            "jobs": str(jobs) if jobs else None,
            "answer": str(answer),
        }
        done = subprocess.run(
            [sys.executable, __file__, "--child", json.dumps(request)],
            env={**os.environ, "PYTHONPATH": str(checkout.resolve() / "workflow/lib")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not answer.is_file():
            sys.exit(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    print("    ", "  ".join(f"{key} {found[key]:.4g}" for key in ("jobs", "cpu_s", "wall_s", "peak_gb")), flush=True)
    return found


def _row(what: str, categories: int, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of several calls of Snakemake, and a line about it."""
    jobs, cpu, ours = (sum(call[key] for call in calls) for key in ("jobs", "cpu_s", "ours_s"))
    row = {
        "what": what,
        "jobs": jobs,
        "cells": CELLS * categories,
        "cpu_s": round(cpu, 1),
        "ours_s": round(ours, 2),
        "ms_a_job": round(1000 * cpu / max(jobs, 1), 2),
        "ours_ms_a_job": round(1000 * ours / max(jobs, 1), 2),
        "peak_gb": max(call["peak_gb"] for call in calls),
        "wall_s": round(sum(call["wall_s"] for call in calls), 1),
        "calls": len(calls),
    }
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    by_function: Counter[str] = Counter()
    for call in calls:
        by_function.update(call["by_function"])
    for name, seconds in by_function.most_common(12):
        print(f"    {seconds:7.2f} s  {name}")
    return row


def _child(request: dict[str, Any]) -> None:
    """Call Snakemake in this process, with looks at who is computing, and write down what it took."""
    import snakemake.cli
    import snakemake.dag
    import snakemake.workflow

    ours = str(Path(request["checkout"]) / "workflow")
    seen: Counter[str] = Counter()

    def look(_: int, frame: FrameType | None) -> None:
        outermost = ""
        while frame is not None:
            if frame.f_code.co_filename.startswith(ours):
                outermost = f"{Path(frame.f_code.co_filename).name}: {frame.f_code.co_name}"
            frame = frame.f_back
        seen[outermost] += 1

    dags: list[Any] = []
    stats = snakemake.dag.DAG.stats
    snakemake.dag.DAG.stats = lambda dag: (dags.append(dag), stats(dag))[1]
    if request["stub"]:
        snakemake.workflow.script = _instead_of_scripts(_stand_ins(Path(request["answer"]).parent))
    signal.signal(signal.SIGPROF, look)
    begin, cpu = time.perf_counter(), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)
    try:
        snakemake.cli.main(request["words"])
    except SystemExit as end:
        if end.code:
            raise
    signal.setitimer(signal.ITIMER_PROF, 0)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
    share = cpu / max(seen.total(), 1)
    if request["jobs"] and dags:
        _list_jobs(dags[-1], Path(request["jobs"]), request["checkout"], request["folder"])
    answer = {
        "jobs": sum(1 for _ in dags[-1].needrun_jobs(exclude_finished=False)) if dags else 0,
        "cpu_s": cpu,
        "wall_s": wall,
        "ours_s": share * (seen.total() - seen[""]),
        "by_function": {name: share * count for name, count in seen.most_common(40) if name},
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3),
    }
    Path(request["answer"]).write_text(json.dumps(answer), "utf-8")


def _list_jobs(dag: Any, file: Path, checkout: str, folder: str) -> None:
    """Every job with what it reads, makes and is told, one a line, whichever folder the checkout lies in."""
    # and without addresses of objects
    home = re.compile(f"(?:{re.escape(os.path.relpath(checkout, folder))}|{re.escape(checkout)})(?=/)")
    address = re.compile(" at 0x[0-9a-f]+")
    lines = []
    for job in dag.jobs:
        record = {
            "rule": job.rule.name,
            "wildcards": dict(job.wildcards_dict or {}),
            "input": [[name, *_strings(value)] for name, value in job.input._allitems()],
            "output": [[name, *_strings(value)] for name, value in job.output._allitems()],
            "log": list(map(str, job.log)),
            "benchmark": str(job.benchmark),
            "params": [[name, repr(value)] for name, value in job.params._allitems()],
            "resources": {name: repr(value) for name, value in sorted(job.resources.items()) if name != "tmpdir"},
            "priority": job.priority,
            "depends_on": sorted(str(other.output) for other in dag.dependencies[job]),
        }
        lines.append(address.sub("", home.sub("@", json.dumps(record, sort_keys=True))))
    file.write_text("".join(f"{line}\n" for line in sorted(lines)), "utf-8")


def _strings(value: Any) -> list[str]:
    flags = {key: repr(flag) for key, flag in sorted(getattr(value, "flags", {}).items())}
    return [str(value), *([json.dumps(flags)] if flags else [])]


def _stand_ins(folder: Path) -> dict[str, bytes]:
    """What a job that does nothing leaves in place of those outputs that the end of a run reads."""
    import h5py

    with h5py.File(folder / "stand_in.h5", "w") as file:
        file.attrs["warnings"] = "[]"
    images = (folder / "stand_in.h5").read_bytes()
    return {"images.h5": images, "inventory.csv": INVENTORY.encode(), "turning.json": json.dumps(TURNING).encode()}


def _instead_of_scripts(stand_ins: dict[str, bytes]) -> Any:
    """In place of Snakemake's function that runs a script: one that makes its outputs, empty or as they are read."""

    def leave_files(path: str, basedir: Any, input: Any, output: Any, *others: Any) -> None:
        record = others[BENCHMARK_RECORD]
        if record is not None:
            record.running_time = 0.0
        for made in map(Path, output):
            (made.parent if made.suffix else made).mkdir(parents=True, exist_ok=True)
            if made.suffix:
                made.write_bytes(stand_ins.get(made.name, b""))

    return leave_files


if __name__ == "__main__":
    main()
