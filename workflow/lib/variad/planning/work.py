"""How much work a job is, in the units that costs are measured in."""

from collections.abc import Callable, Mapping
from typing import Any

from variad.planning.detector_work import score_work, train_work
from variad.planning.jobs import WILDCARDS, Job, wildcards_of
from variad.planning.study import Study, is_guided
from variad.planning.units import Work

Names = Mapping[str, str]


def work_of(job: Job, study: Study) -> Work | None:
    """The work of a job; None where it depends on a number of images that is not known yet."""
    if job.rule not in WILDCARDS:
        return Work()
    names = wildcards_of(job, study.config)
    return _RULES[job.rule](study, names) if names else None


def text_encoder(entry: Mapping[str, Any]) -> str:
    """What embeds texts for an encoder of the config: ConSE's is MiniLM."""
    return "MiniLM" if entry["kind"] == "conse" else str(entry["model"])


def _all_images(study: Study, names: Names) -> Work | None:
    size = study.size(names)
    return Work(units={"images": size.images}) if size else None


def _candidates(study: Study, names: Names) -> Work:
    return Work(units={"texts": study.texts(names)})


def _embed_texts(study: Study, names: Names) -> Work:
    return Work(text_encoder(study.config["encoders"][names["encoder"]]), {"texts": study.texts(names)})


def _score_prompts(study: Study, names: Names) -> Work | None:
    shots, size = study.shots(names), study.size(names)
    if shots is None:
        return None
    images = min(study.runs(names) * shots, size.train) if size else study.runs(names) * shots
    units = {"images": images, "texts": study.runs(names) * study.texts(names)}
    return Work(image_encoder(study.config["encoders"][names["encoder"]]), units)


def image_encoder(entry: Mapping[str, Any]) -> str:
    """What embeds images for an encoder of the config."""
    return f"conse {entry['resolution'] or 224} px" if entry["kind"] == "conse" else str(entry["model"])


def _training_set(study: Study, names: Names) -> Work | None:
    recipe, added = study.recipe(names), study.added(names)
    if added is None:
        return None
    if recipe["method"] == "none":
        return Work("none")
    runs, side = study.runs(names), f"{study.config['image_size']} px"
    if recipe["method"] != "generate":
        return Work(recipe["method"], {"images": runs * added})
    vqgan = f"{recipe['vqgan']} at {side}, {recipe['precision']}"
    if not is_guided(recipe):
        return Work(f"generate, {vqgan}", {"images": runs * added})
    encoder = image_encoder(study.config["encoders"][recipe["encoder"]])
    variant = f"generate, {vqgan}, {encoder}, {recipe['cutouts']} cutouts"
    return Work(variant, {"image_iterations": runs * added * recipe["iterations"]})


def _features(study: Study, names: Names) -> Work | None:
    size = study.size(names)
    return Work(_network(study, names), {"images": size.images}) if size else None


def _added_features(study: Study, names: Names) -> Work | None:
    added = study.added(names)
    return None if added is None else Work(_network(study, names), {"images": study.runs(names) * added})


def _network(study: Study, names: Names) -> str:
    entry = study.extractor(names["extractor"])
    return f"{entry['backbone']} at {entry['side']} px"


_RULES: dict[str, Callable[[Study, Names], Work | None]] = {
    "index_category": _all_images,
    "pack_category": _all_images,
    "list_candidates": _candidates,
    "embed_candidates": _embed_texts,
    "score_prompts": _score_prompts,
    "build_training_set": _training_set,
    "extract_features": _features,
    "extract_added_features": _added_features,
    "train_detector": train_work,
    "score_test_set": score_work,
}
