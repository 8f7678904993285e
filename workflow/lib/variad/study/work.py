"""What work is counted in."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from variad.detectors.interface import METHODS, default_settings
from variad.generation.settings import is_guided
from variad.study.jobs import WILDCARDS, PlannedJob, wildcards_of
from variad.study.sizes import Study, layer_shapes


@dataclass(frozen=True)
class Work:
    """Work of one job.

    Attributes:
        variant: the networks and settings that the cost of a unit depends on, in words.
        units: how many of each unit; ``job`` is not among them, every job is one.
    """

    variant: str = ""
    units: Mapping[str, float] = field(default_factory=dict)


# Images to be made, and steps of their optimisation.


def images_and_steps(jobs: Iterable[PlannedJob], study: Study) -> tuple[tuple[int, int], int]:
    """Of the jobs ``build_training_set``: (added images, training sets of which that is not known), and steps."""
    images, unknown, steps = 0, 0, 0
    for job in jobs:
        names = wildcards_of(job, study.config) if job.rule == "build_training_set" else None
        if names is None:
            continue
        added, of_a_run = study.added(names), study.optimisation_steps(names)
        if added is None or of_a_run is None:
            unknown += 1
        else:
            images += study.runs(names) * added
            steps += study.runs(names) * of_a_run
    return (images, unknown), steps


# The work of fitting a detector, and of scoring test images with it.

Names = Mapping[str, str]
GIGA = 1e9
# settings that change the cost of a step
STEP_SETTINGS = {
    "cflow": ("coupling_blocks", "fiber_batch_size", "precision"),
    "reverse_distillation": ("block", "blocks", "embedding_blocks", "batch_size", "precision"),
    "efficientad": ("autoencoder", "batch", "precision"),
}


def train_work(study: Study, names: Names) -> Work | None:
    """Of ``train_detector``, all runs; None where the number of images is unknown. Early stopping is not foreseen."""
    shots, added = study.shots(names), study.added(names)
    if shots is None or added is None:
        return None
    entry = study.config["detectors"][names["detector"]]
    images, runs, settings = shots + added, study.runs(names), settings_of(entry)
    if entry["method"] == "efficientad":
        return Work(variant_of(study, entry), {"steps": runs * settings["steps"]})
    if entry["method"] == "patchcore":
        patches, bank, _ = _memory_bank(study, entry, images)
        distances = patches * bank * settings["projection"] / GIGA
        return Work(variant_of(study, entry), {"images": runs * images, "coreset_giga": runs * distances})
    return Work(variant_of(study, entry), {"image_epochs": runs * images * _epochs(settings, images)})


def score_work(study: Study, names: Names) -> Work | None:
    """Of ``score_test_set``, all runs; None where the number of images is unknown."""
    size, shots, added = study.size(names), study.shots(names), study.added(names)
    if size is None or shots is None or added is None:
        return None
    entry = study.config["detectors"][names["detector"]]
    runs = study.runs(names)
    units: dict[str, float] = {"images": runs * size.test, "megapixels": runs * size.test * size.megapixels}
    if entry["method"] == "patchcore":
        patches, bank, channels = _memory_bank(study, entry, shots + added)
        a_image = patches / max(1, shots + added)
        units["search_giga"] = runs * size.test * a_image * bank * channels / GIGA
    return Work(variant_of(study, entry), units)


def variant_of(study: Study, entry: Mapping[str, Any]) -> str:
    """A detector's method, network and those settings that change the cost of a step."""
    extractor, settings = study.extractor(entry["extractor"]), settings_of(entry)
    layers = "+".join(entry["layers"] or extractor["layers"])
    words = [entry["method"], f"{extractor['backbone']} {layers} at {extractor['side']} px"]
    words += [f"{key} {settings[key]}" for key in STEP_SETTINGS.get(entry["method"], ())]
    return ", ".join(words)


def settings_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A detector's settings, with the method's own defaults where it is one of Variad's."""
    method = entry["method"]
    return {**(default_settings(method) if method in METHODS else {}), **entry["settings"]}


def _epochs(settings: Mapping[str, Any], images: int) -> float:
    """Passes over the training images; 1 for a user's own method that does not say."""
    epochs: float = settings.get("epochs", 1)
    if settings.get("max_steps") is None:
        return epochs
    return min(epochs, settings["max_steps"] / math.ceil(images / settings["batch_size"]))


def _memory_bank(study: Study, entry: Mapping[str, Any], images: int) -> tuple[int, int, int]:
    """Patches of the training images, vectors that the bank keeps of them, and numbers in a vector."""
    shapes = layer_shapes(study.extractor(entry["extractor"]), entry["layers"]) or [(0, 0)]
    patches = images * max(side for _, side in shapes) ** 2
    settings = settings_of(entry)
    bank = max(1, int(settings["coreset_fraction"] * patches))
    return patches, min(bank, settings["coreset_limit"] or bank), sum(channels for channels, _ in shapes)


# How much work a job is, in the units that costs are measured in.


def work_of(job: PlannedJob, study: Study) -> Work | None:
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
