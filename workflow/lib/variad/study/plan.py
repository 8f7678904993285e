"""Disk that results will take, and what will be downloaded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from variad.core.tables import markdown_page, markdown_table
from variad.downloads.catalogue import CATALOGUE, DATASET_FILES, WEIGHTS_FILES
from variad.study.costs import Estimate, reasons
from variad.study.jobs import PlannedJob, Took, wildcards_of
from variad.study.sizes import Study, bytes_an_image

SCORE_ROW = 50  # bytes of a prompt in a table of scores, about
FLOAT = 4


@dataclass(frozen=True)
class Download:
    """A file that will be fetched; bytes exact or rough, None where the publisher's size is not known."""

    title: str
    size: int | None


def downloads(pending: Iterable[PlannedJob]) -> list[Download]:
    """What the pending jobs ``fetch_archive`` and ``fetch_weights`` will fetch."""
    sources = {file: CATALOGUE[name] for file, name in (DATASET_FILES | WEIGHTS_FILES).items()}
    found = []
    for job in pending:
        if job.rule in ("fetch_archive", "fetch_weights"):
            source = sources.get(job.name)
            found.append(Download(source.title if source else job.name, source.bytes_about if source else None))
    return found


def result_bytes(job: PlannedJob, study: Study) -> float | None:
    """About what a job leaves on disk, for the rules that leave much; None if that is not known, 0 for the others."""
    if job.rule not in _SIZES:
        return 0.0
    names = wildcards_of(job, study.config)
    return _SIZES[job.rule](study, names) if names else None


def result_total(jobs: Iterable[PlannedJob], study: Study) -> tuple[float, int]:
    """Bytes that jobs leave, and the number of jobs of which that is not known."""
    sizes = [result_bytes(job, study) for job in jobs]
    return sum(size for size in sizes if size is not None), sizes.count(None)


def _images(study: Study, names: dict[str, str]) -> float | None:
    size = study.size(names)
    pixels: int = 3 * study.config["image_size"] ** 2
    return size.images * pixels if size else None


def _added(study: Study, names: dict[str, str]) -> float | None:
    added = study.added(names)
    pixels: int = 3 * study.config["image_size"] ** 2
    return None if added is None else study.runs(names) * added * pixels


def _features(study: Study, names: dict[str, str]) -> float | None:
    size, each = study.size(names), bytes_an_image(study.extractor(names["extractor"]))
    return size.images * each if size and each is not None else None


def _added_features(study: Study, names: dict[str, str]) -> float | None:
    added, each = study.added(names), bytes_an_image(study.extractor(names["extractor"]))
    return None if added is None or each is None else study.runs(names) * added * each


def _texts(study: Study, names: dict[str, str]) -> float:
    """Embeddings, float32: MiniLM's have 384 numbers, CLIP ViT-B's 512 (larger models' more)."""
    numbers = 384 if study.config["encoders"][names["encoder"]]["kind"] == "conse" else 512
    return study.texts(names) * numbers * FLOAT


def _scores(study: Study, names: dict[str, str]) -> float:
    return study.runs(names) * study.texts(names) * SCORE_ROW


def _maps(study: Study, names: dict[str, str]) -> float | None:
    """Anomaly maps of the runs that are kept, float32 at the images' own size."""
    size = study.size(names)
    kept = sum(run < study.runs(names) for run in study.config["study"]["keep_map_runs"])
    return kept * size.test * size.megapixels * 1e6 * FLOAT if size else None


_SIZES = {
    "pack_category": _images,
    "build_training_set": _added,
    "extract_features": _features,
    "extract_added_features": _added_features,
    "embed_candidates": _texts,
    "score_prompts": _scores,
    "score_test_set": _maps,
}


# The plan as a page of Markdown, which is also what is printed.

GIGA = 1e9
MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True)
class StudyPlan:
    """All that the page says.

    Attributes:
        done: the estimate for the finished jobs, to be held against ``took``.
        images, steps: to generate and to optimise; None counts those training sets whose size is not known yet.
        results: bytes that pending jobs will leave, and the number of jobs of which that is not known.
        gpu: whether the config asks for one.
    """

    targets: Sequence[str]
    machine: str
    cores: int
    gpu: bool
    table: pd.DataFrame
    left: Estimate
    done: Estimate
    took: Mapping[PlannedJob, Took]
    images: tuple[int, int]
    steps: int
    results: tuple[float, int]
    downloads: Sequence[Download]


def render(plan: StudyPlan) -> str:
    """The page, Markdown."""
    title = f"Plan of `{' '.join(plan.targets)}`"
    return markdown_page(title, "", _table(plan.table), *_left(plan), *_done(plan), _unknown(plan))


def duration(seconds: float) -> str:
    """Seconds in words: ``42 s``, ``3.5 min``, ``12.0 h``."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.1f} min" if seconds < HOUR else f"{seconds / HOUR:,.1f} h"


def size(count: float) -> str:
    """Bytes in words: ``3.1 MB``, ``1,204.0 GB``."""
    return f"{count / 1e6:.1f} MB" if count < GIGA else f"{count / GIGA:,.1f} GB"


def _table(table: pd.DataFrame) -> str:
    heads = ["rule", "jobs left", "estimate", "not known", "jobs done", "estimate", "took", "peak memory"]
    lines = [
        [
            str(row["rule"]), f"{row['jobs_left']:,}", _hours(row["left_hours"]), str(row["unknown_jobs"] or ""),
            f"{row['jobs_done']:,}", _hours(row["done_estimated_hours"]), _hours(row["done_measured_hours"]),
            "" if pd.isna(row["peak_gb"]) else f"{row['peak_gb']:.1f} GB",
        ]
        for row in table.to_dict("records")
    ]  # fmt: skip
    left, done, unknown = table["jobs_left"].sum(), table["jobs_done"].sum(), table["unknown_jobs"].sum()
    hours = [_hours(table[name].sum()) for name in ("left_hours", "done_estimated_hours", "done_measured_hours")]
    total = ["total", f"{left:,}", hours[0], str(unknown or ""), f"{done:,}", *hours[1:], ""]
    return markdown_table(heads, [*lines, total], left=1)


def _hours(hours: float | None) -> str:
    return "" if hours is None or pd.isna(hours) else duration(hours * HOUR)


def _left(plan: StudyPlan) -> list[str]:
    if not plan.table["jobs_left"].sum():
        return ["Nothing is left to do."]
    known, unknown_images = plan.images
    rest = f", and those of {unknown_images} training sets of unknown size" if unknown_images else ""
    without = f" without {len(plan.left.unknown):,} jobs that are not known" if plan.left.unknown else ""
    lines = [
        f"- images to add: {known:,}{rest}; optimisation steps: {plan.steps:,}",
        f"- results on disk: about {size(plan.results[0])}" + _of_unknown(plan.results[1]),
        _downloads(plan.downloads),
        f"- CPU: {duration(plan.left.total)} of one core of {plan.machine}{without}",
        f"- on the clock with {plan.cores} such cores: at least {duration(plan.left.wall(plan.cores))}; "
        f"the longest job takes {duration(plan.left.longest)}",
    ]
    lines.append("- GPU: not measured, so no estimate" + ("; the config asks for one" if plan.gpu else ""))
    return ["## What is left", "\n".join(lines)]


def _of_unknown(jobs: int) -> str:
    return f", without {jobs} jobs whose size is not known" if jobs else ""


def _downloads(files: Sequence[Download]) -> str:
    if not files:
        return "- downloads by the workflow: none"
    known = sum(file.size for file in files if file.size is not None)
    sizes = [size(file.size) if file.size is not None else "size not known" for file in files]
    named = ", ".join(f"{file.title} ({words})" for file, words in zip(files, sizes, strict=True))
    return f"- downloads: about {size(known)} of known size: {named}; archives need about as much again unpacked"


def _done(plan: StudyPlan) -> list[str]:
    if not plan.took:
        return []
    took = sum(one.seconds for one in plan.took.values())
    line = f"{len(plan.took):,} jobs are done. They took {duration(took)} in all"
    compared = [job for job in plan.took if job in plan.done.seconds]
    if compared:
        measured = sum(plan.took[job].seconds for job in compared)
        expected = sum(plan.done.seconds[job] for job in compared)
        line += (
            f"; for {len(compared):,} of them the estimate is {duration(expected)} and they took {duration(measured)}"
        )
        line += f" (ratio {measured / expected:.2f})" if expected else ""
    return ["## What is done", line + "."]


def _unknown(plan: StudyPlan) -> str:
    lines = [f"- {count:,} jobs of {rule}: {why}" for (rule, why), count in sorted(reasons(plan.left.unknown).items())]
    return "## What the estimate does not know\n\n" + "\n".join([*lines, *CAVEATS])


CAVEATS = (
    "- Costs are of the machine named above, one thread; another one is faster or slower throughout.",
    "- Trainings may end sooner where `patience` is set; WordNet may have fewer words around a class than asked for.",
    "- Weights that timm and open_clip download by themselves (some hundred MB each) are not among the downloads.",
    "- Disk counts images, features, embeddings, prompt scores and kept maps, not models, figures and tables.",
)
