"""How much work a job is, in units such as images, texts, steps or products, and what it costs on a named machine.

What a unit costs is in ``benchmarks/rule_costs.csv``; ``benchmarks/rule_costs.py`` fits it to a finished run.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from variad.core.tables import read_table
from variad.detectors.interface import METHODS, default_settings
from variad.generation.settings import is_guided, made_by
from variad.selection.settings import DIMENSIONS, GRID, REFERENCES
from variad.study.jobs import WILDCARDS, PlannedJob, wildcards_of
from variad.study.sizes import Names, Study, UnknownSize, layer_shapes

GIGA = 1e9
START = "job"  # the unit of what every job costs before any work
# settings of detectors that change the cost of a step
STEP_SETTINGS = {
    "cflow": ("coupling_blocks", "fiber_batch_size", "precision"),
    "reverse_distillation": ("block", "blocks", "embedding_blocks", "batch_size", "precision"),
    "efficientad": ("autoencoder", "batch", "precision"),
}
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Work:
    """Work of one job.

    Attributes:
        variant: the networks and settings that the cost of a unit depends on, in words.
        units: how many of each unit; ``job`` is not among them, every job is one.
        also: work as jobs of other rules do it, by rule, which is done within this one.
    """

    variant: str = ""
    units: Mapping[str, float] = field(default_factory=dict)
    also: "Mapping[str, Work]" = field(default_factory=dict)


def work_of(job: PlannedJob, study: Study) -> Work | None:
    """The work of a job in all its runs; None where it depends on a number of images that is not known yet."""
    return by_rule(_WORK, job, study) if job.rule in WILDCARDS else Work()


def by_rule(questions: Mapping[str, Callable[[Study, Names], Answer]], job: PlannedJob, study: Study) -> Answer | None:
    """What the question of a job's rule says of its wildcards; None where the config or the data do not tell yet."""
    names = wildcards_of(job, study.config)
    try:
        return questions[job.rule](study, names) if names else None
    except UnknownSize:
        return None


def text_encoder(entry: Mapping[str, Any]) -> str:
    """What embeds texts for an encoder of the config: ConSE's is MiniLM."""
    return "MiniLM" if entry["kind"] == "conse" else str(entry["model"])


def image_encoder(entry: Mapping[str, Any]) -> str:
    """What embeds images for an encoder of the config."""
    return f"conse {entry['resolution'] or 224} px" if entry["kind"] == "conse" else str(entry["model"])


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


def _score_prompts(study: Study, names: Names) -> Work:
    images, size = study.runs(names) * study.shots(names), study.sizes[names["dataset"], names["category"]]
    units = {"images": min(images, size.train) if size else images, "texts": study.runs(names) * study.texts(names)}
    return Work(image_encoder(study.config["encoders"][names["encoder"]]), units)


def _choice(study: Study, names: Names) -> Work:
    """Products of candidates' patches with those of each other and of all runs' shots."""
    recipe, candidates = study.config["training_sets"][names["training_set"]], study.candidates(names)
    first = study.config["detectors"][study.config["study"]["detectors"][0]]["extractor"]
    shapes = layer_shapes(study.extractor(recipe.get("extractor") or first)) or [(0, 0)]
    patches, channels = min(GRID, max(side for _, side in shapes)) ** 2, sum(channels for channels, _ in shapes)
    others = candidates / 2 if candidates <= REFERENCES else REFERENCES
    compared = (0 if recipe.get("score") == "shot" else others) + study.runs(names) * min(
        study.shots(names), REFERENCES
    )
    products = candidates * compared * patches**2 * min(channels, DIMENSIONS)
    return Work(units={"images": candidates, "product_giga": products / GIGA})


def _training_set(study: Study, names: Names) -> Work:
    recipe, made = study.config["training_sets"][names["training_set"]], study.runs(names) * study.made(names)
    candidates, maker = study.candidates(names), made_by(recipe)
    if maker == "none":  # to copy photographs is what `duplicate` does
        return Work("duplicate", {"images": candidates}) if candidates else Work("none")
    if maker != "generate":
        return Work(maker, {"images": made})
    variant = f"generate, {recipe['vqgan']} at {study.config['image_size']} px, {recipe['precision']}"
    if not is_guided(recipe):
        return Work(variant, {"images": made})
    encoder = image_encoder(study.config["encoders"][recipe["encoder"]])
    return Work(f"{variant}, {encoder}, {recipe['cutouts']} cutouts", {"image_iterations": made * recipe["iterations"]})


def _network(study: Study, names: Names) -> str:
    entry = study.extractor(names["extractor"])
    return f"{entry['backbone']} at {entry['side']} px"


def _train(study: Study, names: Names) -> Work:
    """Early stopping is not foreseen."""
    entry = study.config["detectors"][names["detector"]]
    images, runs, settings = study.shots(names) + study.added(names), study.runs(names), settings_of(entry)
    if entry["method"] == "efficientad":
        units = {"steps": runs * settings["steps"]}
    elif entry["method"] == "patchcore":
        patches, bank, _ = _memory_bank(study, entry, images)
        chosen = bank if bank < patches else 0  # a bank of all patches is not chosen
        units = {"images": runs * images, "coreset_giga": runs * (patches * chosen * settings["projection"] / GIGA)}
    else:
        units = {"image_epochs": runs * images * _epochs(settings, images)}
    size = None if study.extractor(entry["extractor"])["kept"] else study.size(names)
    seen = study.all_added(names) + (min(study.runs(names) * study.shots(names), size.train) if size else 0)
    return Work(variant_of(study, entry), units, _seen(study, entry, seen))


def _seen(study: Study, entry: Mapping[str, Any], images: int) -> dict[str, Work]:
    """Images that a detector's job brings through its extractor, which otherwise keeps their features."""
    network = _network(study, {"extractor": entry["extractor"]})
    return {"extract_features": Work(network, {"images": images})} if images else {}


def _epochs(settings: Mapping[str, Any], images: int) -> float:
    """Passes over the training images; 1 for a user's own method that does not say."""
    epochs: float = settings.get("epochs", 1)
    if settings.get("max_steps") is None:
        return epochs
    return min(epochs, settings["max_steps"] / math.ceil(images / settings["batch_size"]))


def _score(study: Study, names: Names) -> Work:
    entry, size, runs = study.config["detectors"][names["detector"]], study.size(names), study.runs(names)
    images = study.shots(names) + study.added(names)
    units: dict[str, float] = {"images": runs * size.test, "megapixels": runs * size.test * size.megapixels}
    if entry["method"] == "patchcore":
        patches, bank, channels = _memory_bank(study, entry, images)
        units["search_giga"] = runs * size.test * (patches / max(1, images)) * bank * channels / GIGA
    kept = study.extractor(entry["extractor"])["kept"]
    return Work(variant_of(study, entry), units, _seen(study, entry, 0 if kept else size.test))


def _memory_bank(study: Study, entry: Mapping[str, Any], images: int) -> tuple[int, int, int]:
    """Patches of the training images, vectors that the bank keeps of them, and numbers in a vector."""
    shapes = layer_shapes(study.extractor(entry["extractor"]), entry["layers"]) or [(0, 0)]
    patches = images * max(side for _, side in shapes) ** 2
    settings = settings_of(entry)
    bank = max(1, int(settings["coreset_fraction"] * patches))
    return patches, min(bank, settings["coreset_limit"] or bank), sum(channels for channels, _ in shapes)


def _of_split(study: Study, names: Names) -> int:
    return study.size(names).of(names["split"])


_WORK: dict[str, Callable[[Study, Names], Work]] = {
    "index_category": lambda study, names: Work(units={"images": _of_split(study, names)}),
    "pack_category": lambda study, names: Work(units={"images": _of_split(study, names)}),
    "list_candidates": lambda study, names: Work(units={"texts": study.texts(names)}),
    "embed_candidates": lambda study, names: Work(
        text_encoder(study.config["encoders"][names["encoder"]]), {"texts": study.texts(names)}
    ),
    "score_prompts": _score_prompts,
    "choose_unlabelled": _choice,
    "build_training_set": _training_set,
    "extract_features": lambda study, names: Work(_network(study, names), {"images": _of_split(study, names)}),
    "train_detector": _train,
    "score_test_set": _score,
}


@dataclass(frozen=True)
class Costs:
    """Seconds of a unit by (rule, variant, unit), on one thread of ``machine``, or on one GPU and a thread beside it.

    Attributes:
        derived: whether some were put together from parts that were measured (``benchmarks/gpu_costs.py``).
    """

    machine: str
    seconds: dict[tuple[str, str, str], float]
    derived: bool = False

    def of(self, rule: str, work: Work) -> float | None:
        """Seconds of a job; None when one of its units was never measured. Units that a job has none of are free.

        Where a variant has units alone, a job of it costs before any work what the most costly of the rule's others do.
        """
        of_rule = {key[1:]: cost for key, cost in self.seconds.items() if key[0] == rule}
        costs = {unit: cost for (variant, unit), cost in of_rule.items() if variant == work.variant}
        parts = [self.of_units(rule, work), self.of_others(work)]
        if not costs or None in parts:
            return None
        start = costs.get(START, max((cost for (_, unit), cost in of_rule.items() if unit == START), default=0.0))
        return start + sum(part for part in parts if part is not None)

    def of_units(self, rule: str, work: Work) -> float | None:
        """Seconds of a job's units of its own rule, without its start."""
        found = {unit: self.seconds.get((rule, work.variant, unit)) for unit, count in work.units.items() if count}
        if None in found.values():
            return None
        return sum(cost * work.units[unit] for unit, cost in found.items() if cost is not None)

    def of_others(self, work: Work) -> float | None:
        """Seconds of what a job does of other rules' work."""
        parts = [self.of_units(rule, part) for rule, part in work.also.items()]
        return None if None in parts else sum(part for part in parts if part is not None)


def read_costs(path: str | Path, device: str = "cpu") -> Costs:
    """Read ``benchmarks/rule_costs.csv``: of the device's rows those of the machine that is named first.

    Args:
        device: ``cpu``, or ``cuda`` for what jobs cost that use a GPU.

    Raises:
        UserError: the file is missing or does not follow the schema.
    """
    table = read_table(path, "rule_costs")
    table = table[table["device"] == device]
    machine = str(table["machine"].iloc[0]) if len(table) else "no machine"
    rows = table[table["machine"] == machine].to_dict("records")
    derived = any(row["source"].startswith("gpu_costs.py") for row in rows)
    return Costs(machine, {(row["rule"], row["variant"], row["unit"]): row["seconds"] for row in rows}, derived)


# rules whose jobs use a GPU where they are given one
GPU_RULES = (
    "build_training_set", "choose_unlabelled", "decide_turning", "distil_teacher", "embed_candidates", "embed_tsne",
    "expose_outliers", "extend_support", "extract_features", "invert_images", "make_anomalies", "measure_image_quality",
    "predict_images", "score_held_out", "score_prompts", "score_real", "score_recipes", "score_synthetic",
    "score_test_set", "train_detector", "train_direction",
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """Seconds of the jobs whose cost is known, by job, and the jobs whose cost is not, with the reason."""

    seconds: dict[PlannedJob, float] = field(default_factory=dict)
    unknown: dict[PlannedJob, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Core seconds of the jobs that are known."""
        return sum(self.seconds.values())

    @property
    def longest(self) -> float:
        """Seconds of the longest job."""
        return max(self.seconds.values(), default=0.0)

    def wall(self, cores: int) -> float:
        """Seconds on the clock with so many cores, at least: jobs have one thread each, and some wait for others."""
        return max(self.total / cores, self.longest)


def estimate(jobs: Iterable[PlannedJob], study: Study, costs: Costs) -> Estimate:
    """The cost of every job, or why it is not known."""
    found = Estimate()
    for job in jobs:
        work = work_of(job, study)
        cost = costs.of(job.rule, work) if work is not None else None
        if work is None:
            found.unknown[job] = "the number of images is known once the data are there"
        elif cost is None:
            found.unknown[job] = f"never measured: {work.variant or 'the rule'}"
        else:
            found.seconds[job] = cost
    return found
