"""Disk that results will take, and what will be downloaded."""

from collections.abc import Iterable
from dataclasses import dataclass

from variad.downloads.catalogue import CATALOGUE, DATASET_FILES, WEIGHTS_FILES
from variad.planning.features import bytes_an_image
from variad.planning.jobs import Job, wildcards_of
from variad.planning.study import Study

SCORE_ROW = 50  # bytes of a prompt in a table of scores, about
FLOAT = 4


@dataclass(frozen=True)
class Download:
    """A file that will be fetched; bytes exact or rough, None where the publisher's size is not known."""

    title: str
    size: int | None


def downloads(pending: Iterable[Job]) -> list[Download]:
    """What the pending jobs ``fetch_archive`` and ``fetch_weights`` will fetch."""
    sources = {file: CATALOGUE[name] for file, name in (DATASET_FILES | WEIGHTS_FILES).items()}
    found = []
    for job in pending:
        if job.rule in ("fetch_archive", "fetch_weights"):
            source = sources.get(job.name)
            found.append(Download(source.title if source else job.name, source.bytes_about if source else None))
    return found


def result_bytes(job: Job, study: Study) -> float | None:
    """About what a job leaves on disk, for the rules that leave much; None if that is not known, 0 for the others."""
    if job.rule not in _SIZES:
        return 0.0
    names = wildcards_of(job, study.config)
    return _SIZES[job.rule](study, names) if names else None


def result_total(jobs: Iterable[Job], study: Study) -> tuple[float, int]:
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
