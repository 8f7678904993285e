"""The plan of a study: what is left to do and what that costs, and what finished jobs took.

It is a table, a row a rule, and a page of Markdown, which is also what is printed.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from variad.core.tables import markdown_page, markdown_table
from variad.downloads.catalogue import CATALOGUE, DATASET_FILES, WEIGHTS_FILES
from variad.generation.settings import is_guided
from variad.study.jobs import PlannedJob, Took
from variad.study.sizes import Names, Study, UnknownSize, layer_shapes
from variad.study.work import GIGA, GPU_RULES, Costs, Estimate, by_rule, estimate

SCORE_ROW = 50  # bytes of a prompt in a table of scores, about
FLOAT = 4  # bytes
MINUTE, HOUR = 60.0, 3600.0
COLUMNS = {
    "jobs_left": "jobs left",
    "left_hours": "CPU",
    "gpu_hours": "GPU",
    "unknown_jobs": "not known",
    "jobs_done": "jobs done",
    "done_estimated_hours": "estimate",
    "done_measured_hours": "took",
    "peak_gb": "peak memory",
}
CAVEATS = (
    "- Costs are of the machines named above, one thread, or one GPU a job; another is faster or slower throughout.",
    "- Trainings may end sooner where `patience` is set; WordNet may have fewer words around a class than asked for.",
    "- Weights that timm and open_clip download by themselves (some hundred MB each) are not among the downloads.",
    "- Disk counts images, features, embeddings, prompt scores and kept maps, not models, figures and tables.",
)


@dataclass(frozen=True)
class StudyPlan:
    """A study with the jobs that are pending, and what those took that are done."""

    study: Study
    costs: Costs
    pending: Sequence[PlannedJob]
    took: Mapping[PlannedJob, Took]
    gpu_costs: Costs | None = None

    @cached_property
    def left(self) -> Estimate:
        """The cost of the pending jobs."""
        return estimate(self.pending, self.study, self.costs)

    @cached_property
    def on_gpu(self) -> Estimate:
        """The cost of those pending jobs that may use a GPU, if each has one."""
        jobs = [job for job in self.pending if job.rule in GPU_RULES]
        return estimate(jobs, self.study, self.gpu_costs or Costs("no GPU", {}))

    @cached_property
    def beside_gpu(self) -> Estimate:
        """The cost of the other pending jobs, on the CPU."""
        return estimate([job for job in self.pending if job.rule not in GPU_RULES], self.study, self.costs)

    @cached_property
    def done(self) -> Estimate:
        """What the finished jobs should have cost, to be held against ``took``."""
        return estimate(self.took, self.study, self.costs)


def plan_table(plan: StudyPlan) -> pd.DataFrame:
    """The table of schema ``plan``: a row a rule, in the order of the most work left, then of the most that is done."""
    peaks: dict[str, float] = {}
    for job, one in plan.took.items():
        peaks[job.rule] = max(peaks.get(job.rule, 0.0), one.peak_gb or 0.0)
    by_column: dict[str, Mapping[str, float]] = {
        "jobs_left": Counter(job.rule for job in plan.pending),
        "left_hours": _hours_by_rule(plan.left.seconds),
        "gpu_hours": _hours_by_rule(plan.on_gpu.seconds),
        "unknown_jobs": Counter(job.rule for job in plan.left.unknown),
        "jobs_done": Counter(job.rule for job in plan.took),
        "done_estimated_hours": _hours_by_rule(plan.done.seconds),
        "done_measured_hours": _hours_by_rule({job: one.seconds for job, one in plan.took.items()}),
        "peak_gb": peaks,
    }
    left, done = by_column["left_hours"], by_column["done_measured_hours"]
    rules = sorted(by_column["jobs_left"].keys() | by_column["jobs_done"].keys())
    rules.sort(key=lambda rule: (-left.get(rule, 0.0), -done.get(rule, 0.0)))
    rows = [
        {"rule": rule, **{name: of.get(rule, 0 if "jobs" in name else None) for name, of in by_column.items()}}
        for rule in rules
    ]
    return pd.DataFrame(rows, columns=["rule", *COLUMNS])


def _hours_by_rule(seconds: Mapping[PlannedJob, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for job, value in seconds.items():
        found[job.rule] = found.get(job.rule, 0.0) + value / HOUR
    return found


def plan_page(plan: StudyPlan) -> str:
    """The page, Markdown; targets and cores are those of the config's section ``plan``."""
    title = f"Plan of `{' '.join(plan.study.config['plan']['targets'])}`"
    return markdown_page(title, "", _table(plan_table(plan)), *_left(plan), *_done(plan), _unknown(plan.left))


def _table(table: pd.DataFrame) -> str:
    total = {"rule": "total", **table.drop(columns=["rule", "peak_gb"]).sum()}
    rows = [
        [row["rule"], *(_cell(name, row.get(name)) for name in COLUMNS)] for row in [*table.to_dict("records"), total]
    ]
    return markdown_table(["rule", *COLUMNS.values()], rows, left=1)


def _cell(column: str, value: float | None) -> str:
    if value is None or pd.isna(value):
        return ""
    if column == "unknown_jobs":
        return str(int(value) or "")
    if column == "peak_gb":
        return f"{value:.1f} GB"
    return f"{int(value):,}" if column in ("jobs_left", "jobs_done") else duration(value * HOUR)


def duration(seconds: float) -> str:
    """Seconds in words: ``42 s``, ``3.5 min``, ``12.0 h``."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.1f} min" if seconds < HOUR else f"{seconds / HOUR:,.1f} h"


def size(count: float) -> str:
    """Bytes in words: ``3.1 MB``, ``1,204.0 GB``."""
    return f"{count / 1e6:.1f} MB" if count < GIGA else f"{count / GIGA:,.1f} GB"


def _left(plan: StudyPlan) -> list[str]:
    if not plan.pending:
        return ["Nothing is left to do."]
    config, left = plan.study.config, plan.left
    cores = config["plan"]["cores"] or os.cpu_count() or 1
    images, steps, unknown_images = images_and_steps(plan.pending, plan.study)
    results, unknown_results = result_total(plan.pending, plan.study)
    lines = [
        f"- images to add: {images:,}"
        + (f", and those of {unknown_images} training sets of unknown size" if unknown_images else "")
        + f"; optimisation steps: {steps:,}",
        f"- results on disk: about {size(results)}"
        + (f", without {unknown_results} jobs whose size is not known" if unknown_results else ""),
        _downloads(downloads(plan.pending)),
        f"- CPU: {duration(left.total)} of one core of {plan.costs.machine}"
        + (f" without {len(left.unknown):,} jobs that are not known" if left.unknown else ""),
        f"- on the clock with {cores} such cores: at least {duration(left.wall(cores))}; "
        f"the longest job takes {duration(left.longest)}",
        *_gpu(plan, cores),
    ]
    return ["## What is left", "\n".join(lines)]


def _gpu(plan: StudyPlan, cores: int) -> list[str]:
    """What the jobs cost that may use a GPU, and how much of that is not known."""
    asked = "; the config asks for one" if plan.study.config["run"]["gpu"] else ""
    found, costs = plan.on_gpu, plan.gpu_costs
    if costs is None or not found.seconds:
        return [f"- GPU: not measured, so no estimate{asked}"]
    derived = " (put together from parts that were measured, not from whole jobs)" if costs.derived else ""
    lines = [f"- GPU: {duration(found.total)} of one {costs.machine} for {len(found.seconds):,} jobs{derived}{asked}"]
    if found.unknown:
        on_cpu = [plan.left.seconds[job] for job in found.unknown if job in plan.left.seconds]
        lines.append(
            f"- not measured on a GPU: {len(found.unknown):,} jobs of "
            f"{', '.join(sorted({job.rule for job in found.unknown}))}; on a CPU {len(on_cpu):,} of them would take "
            f"{duration(sum(on_cpu))}"
        )
    gpus, beside = plan.study.config["plan"]["gpus"], plan.beside_gpu
    walls = ", ".join(
        f"{duration(max(found.wall(count), beside.wall(cores)))} with {count}" for count in sorted({1, gpus})
    )
    lines.append(f"- on the clock with GPUs and {cores} cores beside them: at least {walls}, for what is measured")
    return lines


def _done(plan: StudyPlan) -> list[str]:
    if not plan.took:
        return []
    took = sum(one.seconds for one in plan.took.values())
    line = f"{len(plan.took):,} jobs are done. They took {duration(took)} in all"
    if plan.done.seconds:
        measured, expected = sum(plan.took[job].seconds for job in plan.done.seconds), plan.done.total
        line += f"; for {len(plan.done.seconds):,} of them the estimate is {duration(expected)}"
        line += f" and they took {duration(measured)}"
        line += f" (ratio {measured / expected:.2f})" if expected else ""
    return ["## What is done", line + "."]


def _unknown(left: Estimate) -> str:
    reasons = Counter((job.rule, why) for job, why in left.unknown.items())
    lines = [f"- {count:,} jobs of {rule}: {why}" for (rule, why), count in sorted(reasons.items())]
    return "## What the estimate does not know\n\n" + "\n".join([*lines, *CAVEATS])


def took_page(took: Mapping[PlannedJob, Took]) -> str:
    """What finished jobs took, Markdown: a row a rule, the most costly first."""
    by_name: dict[str, list[Took]] = {}
    for job, one in took.items():
        by_name.setdefault(job.rule, []).append(one)
    seconds = {rule: sum(one.seconds for one in jobs) for rule, jobs in by_name.items()}
    rows = [_took_row(rule, by_name[rule]) for rule in sorted(seconds, key=lambda rule: -seconds[rule])]
    everything = list(took.values())
    rows += [_took_row("total", everything)] if everything else []
    work = duration(sum(seconds.values()))
    said = f"{len(took):,} jobs took {work} of work in all, added up over those that ran together."
    heads = ["rule", "jobs", "took", "longest job", "peak memory"]
    return markdown_page("What the study took", "", said, markdown_table(heads, rows, left=1))


def _took_row(name: str, jobs: Sequence[Took]) -> list[str]:
    peaks = [one.peak_gb for one in jobs if one.peak_gb is not None]
    longest = max(one.seconds for one in jobs)
    total = duration(sum(one.seconds for one in jobs))
    return [name, f"{len(jobs):,}", total, duration(longest), f"{max(peaks):.1f} GB" if peaks else ""]


def images_and_steps(jobs: Iterable[PlannedJob], study: Study) -> tuple[int, int, int]:
    """Images that jobs ``build_training_set`` add, steps of their optimisation, and jobs of which both are unknown."""

    def of_job(study: Study, names: Names) -> tuple[int, int]:
        recipe, made = study.config["training_sets"][names["training_set"]], study.runs(names) * study.made(names)
        return study.all_added(names), made * int(recipe["iterations"]) if is_guided(recipe) else 0

    found = [by_rule({job.rule: of_job}, job, study) for job in jobs if job.rule == "build_training_set"]
    known = [one for one in found if one is not None]
    return sum(images for images, _ in known), sum(steps for _, steps in known), found.count(None)


def _downloads(files: Sequence[tuple[str, int | None]]) -> str:
    if not files:
        return "- downloads by the workflow: none"
    known = sum(count for _, count in files if count is not None)
    named = [f"{title} ({'size not known' if count is None else size(count)})" for title, count in files]
    again = "archives need about as much again unpacked"
    return f"- downloads: about {size(known)} of known size: {', '.join(named)}; {again}"


def downloads(pending: Iterable[PlannedJob]) -> list[tuple[str, int | None]]:
    """(title, bytes) of each file that the pending jobs will fetch; None where the publisher's size is not known."""
    sources = {file: CATALOGUE[name] for file, name in (DATASET_FILES | WEIGHTS_FILES).items()}
    files = [job.name for job in pending if job.rule in ("fetch_archive", "fetch_weights")]
    return [(sources[file].title, sources[file].bytes_about) if file in sources else (file, None) for file in files]


def result_total(jobs: Iterable[PlannedJob], study: Study) -> tuple[float, int]:
    """Bytes that jobs leave, and the number of jobs of which that is not known."""
    sizes = [result_bytes(job, study) for job in jobs]
    return sum(size for size in sizes if size is not None), sizes.count(None)


def result_bytes(job: PlannedJob, study: Study) -> float | None:
    """About what a job leaves on disk, for the rules that leave much; None if that is not known, 0 for the others."""
    return by_rule(_BYTES, job, study) if job.rule in _BYTES else 0.0


def _pixels(study: Study) -> int:
    """Of an image, RGB."""
    return 3 * int(study.config["image_size"]) ** 2


def _features_of_an_image(study: Study, names: Names) -> int:
    extractor = study.extractor(names["extractor"])
    shapes, number = layer_shapes(extractor), FLOAT // 2 if extractor.get("stored_as") == "float16" else FLOAT
    if shapes is None:
        raise UnknownSize
    return sum(channels * side * side * number for channels, side in shapes)


def _embeddings(study: Study, names: Names) -> float:
    """MiniLM's have 384 numbers, CLIP ViT-B's 512 (larger models' more)."""
    numbers = 384 if study.config["encoders"][names["encoder"]]["kind"] == "conse" else 512
    return study.texts(names) * numbers * FLOAT


def _maps(study: Study, names: Names) -> float:
    """Anomaly maps of the runs that are kept, at the images' own size or as much smaller as the study has them."""
    size, side = study.size(names), study.config["study"]["keep_map_side"]
    kept = sum(run < study.runs(names) for run in study.config["study"]["keep_map_runs"])
    pixels = size.megapixels * 1e6
    return kept * size.test * (min(pixels, side**2) if side else pixels) * FLOAT


_BYTES: dict[str, Callable[[Study, Names], float]] = {
    "pack_category": lambda study, names: study.size(names).of(names["split"]) * _pixels(study),
    "build_training_set": lambda study, names: study.all_added(names) * _pixels(study),
    "extract_features": lambda study, names: study.size(names).of(names["split"]) * _features_of_an_image(study, names),
    "embed_candidates": _embeddings,
    "score_prompts": lambda study, names: study.runs(names) * study.texts(names) * SCORE_ROW,
    "score_test_set": _maps,
}
