"""The config's sections of the second document: what they mean for a data set, and whether all of it fits together.

Nothing heavy is imported, as Snakemake reads this before anything runs: methods of candidates and benchmarks are known
here by name alone.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from variad.core.errors import UserError
from variad.detectors.interface import check_extractor
from variad.generation.settings import is_guided

Config = dict[str, Any]
Pair = tuple[str, str]

# what a method's candidates are, and the module that makes them: imported by name, so that an edit to one of them, or
# to what it imports, does not rerun the others
METHODS = {
    "neighbours": ("detector", "variad.selection.neighbours"),
    "detectors": ("detector", "variad.selection.fitted_detectors"),
    "templates": ("prompt", "variad.selection.templates"),
}
CLASS_BENCHMARKS = ("one_vs_rest", "one_vs_one", "one_vs_closest")
DEFECT_BENCHMARKS = ("defects",)
FILE = Path(__file__).with_name("templates.yaml")
RANDOM, LARGEST, DEFAULT = CONTROLS = ("random", "largest_backbone", "default")
RECONSTRUCTION = "reconstruction"
RESERVED = (*CONTROLS, RECONSTRUCTION)  # names of rows that no anomaly source may have
# names in the tables of outlier exposure that are no source, objective or training set of the config
NO_SOURCE = "none"
FROZEN = "frozen"
PLAIN = "support"
WITH_VIEWS = "with views"
# how closely unlabelled images are compared with each other
GRID = 14  # positions a side, at most
DIMENSIONS = 512  # of a patch, at most; longer ones are projected
REFERENCES = 300  # other candidates, and as many shots, that those of a run are compared with, at most
# of a product that lies at any angle: what these are turned by, and how many, so that all cost about as much
TURNS = tuple(range(45, 360, 45))  # degrees; every 30 told no more of turned bottles, every 90 less
TURNED_REFERENCES = 40


def kind_of(method: str) -> str:
    """``detector`` or ``prompt``: candidates of one kind compete with each other."""
    return METHODS[method][0]


def method_module(method: str) -> Path:
    """The file that the candidates of a method are made in."""
    return Path(__file__).parents[2].joinpath(*METHODS[method][1].split(".")).with_suffix(".py")


@functools.cache
def template_sets() -> dict[str, list[Pair]]:
    """Pairs of a normal and an anomalous prompt by the name of the set; ``{}`` stands for the class name."""
    sets = yaml.safe_load(FILE.read_text("utf-8"))
    return {name: [(normal, anomalous) for normal, anomalous in pairs] for name, pairs in sets.items()}


def find_templates(name: str) -> list[Pair]:
    """The pairs of a set.

    Raises:
        UserError: there is no such set.
    """
    if name not in template_sets():
        raise UserError(f"templates: expected a set of {', '.join(template_sets())}, found '{name}'.")
    return template_sets()[name]


def selection_of(config: Config, dataset: str) -> Config:
    """The section ``selection`` with the keys that differ for a data set in their place."""
    return _without_overrides(config["selection"]) | config["selection"]["overrides"].get(dataset, {})


def exposure_of(config: Config, dataset: str) -> Config:
    """The section ``exposure`` with a data set's own sources, or of ``sources`` those that its selection has."""
    section, made = config["exposure"], selection_of(config, dataset)["sources"]
    shared = {source: objectives for source, objectives in section["sources"].items() if source in made}
    return _without_overrides(section) | {"sources": shared} | section["overrides"].get(dataset, {})


def selection_categories(config: Config) -> list[tuple[str, str]]:
    """(data set, category) of everything that selection covers.

    Raises:
        UserError: as ``check_selection``.
    """
    check_selection(config)
    return [
        (dataset, category)
        for dataset, categories in config["selection"]["datasets"].items()
        for category in categories or config["datasets"][dataset]["categories"]
    ]


def check_selection(config: Config) -> None:
    """Check every name that the sections on selection use, and whether seeds suffice for what is made of them.

    Raises:
        UserError: a data set, category, source, candidate, detector, encoder, diffusion model or template set is
            unknown, or a source is to make more than it can.
    """
    section = config["selection"]
    _known("selection.overrides", section["overrides"], section["datasets"])
    for dataset, categories in section["datasets"].items():
        _known("selection.datasets", [dataset], config["datasets"])
        _known(f"selection.datasets.{dataset}", categories or [], config["datasets"][dataset]["categories"])
        chosen = selection_of(config, dataset)
        where = f"selection.overrides.{dataset}" if dataset in section["overrides"] else "selection"
        _known(f"{where}.sources", chosen["sources"], config.get("anomaly_sources", {}))
        if not chosen["sources"]:
            raise UserError(f"config key {where}.sources: expected at least one source, found none.")
        for name in chosen["sources"]:
            _check_source(config, name, chosen["seeds"])
        for key, kind in (("candidates", "detector"), ("templates", "prompt")):
            _known(f"{where}.{key}", chosen[key], config["candidates"])
            for name in chosen[key]:
                _check_candidates(config, name, f"{where}.{key}", kind)
        default = chosen["default"]
        if default is not None:
            _known(f"{where}.default", [default.partition("/")[0]], chosen["candidates"])
            _check_default(config, f"{where}.default", default)


def _check_source(config: Config, name: str, seeds: int) -> None:
    entry, key = config["anomaly_sources"][name], f"anomaly_sources.{name}"
    method, count = entry["method"], entry["count"]
    if method in ("style_mix", "text_edit"):
        _known(f"{key}.diffusion_model", [entry["diffusion_model"]], config["diffusion_models"])
    if method == "text_edit":
        _known(f"{key}.encoder", [entry["encoder"]], config["encoders"])
    if method == "blurred" and entry["resolution"] >= config["image_size"]:
        raise UserError(
            f"config key {key}.resolution: expected less than image_size, {config['image_size']} pixels, "
            f"found {entry['resolution']}."
        )
    texts = min(entry["texts_per_run"], len(entry["texts"]))
    most = {
        "style_mix": (seeds // 2) * (seeds - seeds // 2),
        "text_edit": seeds * texts * len(entry["strengths"]),
        "blurred": seeds,
    }
    if count > most.get(method, count):
        raise UserError(
            f"config key {key}.count: expected at most {most[method]}, as many as {method} makes of {seeds} seeds, "
            f"found {count}."
        )


def _check_candidates(config: Config, name: str, where: str, kind: str) -> None:
    entry: Mapping[str, Any] = config["candidates"][name]
    method = entry["method"]
    if kind_of(method) != kind:
        expected = "method templates" if kind == "prompt" else "methods neighbours or detectors"
        raise UserError(f"config key {where}: expected candidate sets of {expected}, found '{name}' of '{method}'.")
    if method == "detectors":
        _known(f"candidates.{name}.detectors", entry["detectors"], config["detectors"])
        for detector in entry["detectors"]:
            extractor = config["detectors"][detector]["extractor"]
            _known(f"detectors.{detector}.extractor", [extractor], config["extractors"])
            check_extractor(config, detector)
    if method == "templates":
        _known(f"candidates.{name}.encoder", [entry["encoder"]], config["encoders"])
        try:
            find_templates(entry["templates"])
        except UserError as error:
            raise UserError(f"config key candidates.{name}.{error}") from error


def _check_default(config: Config, key: str, default: str) -> None:
    name, _, candidate = default.partition("/")
    entry = config["candidates"][name]
    if entry["method"] == "detectors":
        known = list(entry["detectors"])
    else:
        known = ["/".join(map(str, one)) for one in product(entry["layers"], entry["resolutions"], entry["scores"])]
    if candidate not in known:
        some = ", ".join(f"{name}/{one}" for one in known[:4]) + ", ..." * (len(known) > 4)
        raise UserError(f"config key {key}: expected one of {some}, found '{default}'.")


def check_recipes(config: Config) -> None:
    """Check the section ``recipes``.

    Raises:
        UserError: a detector, scenario or default recipe that the study lacks, or an unknown source.
    """
    section, study = config["recipes"], config["study"]
    _known("recipes.detectors", section["detectors"], study["detectors"])
    _known("recipes.scenarios", section["scenarios"], study["scenarios"])
    _known("recipes.sources", section["sources"] or [], config["anomaly_sources"])
    if section["detectors"]:
        _known("recipes.default", [section["default"]], study["training_sets"])


def check_exposure(config: Config) -> None:
    """Check the section ``exposure``.

    Raises:
        UserError: an unknown data set, source or training set, regression for a source without strengths, or a training
            set that cannot be generated from the support alone.
    """
    section = config["exposure"]
    _check_exposed(config, "exposure.sources", section["sources"])
    _known("exposure.overrides", section["overrides"], config["datasets"])
    for dataset, changed in section["overrides"].items():
        _check_exposed(config, f"exposure.overrides.{dataset}.sources", changed["sources"])
    name = section["added"]
    if name is None:
        return
    if name not in config["training_sets"]:
        known = ", ".join(config["training_sets"])
        raise UserError(f"config key exposure.added: expected one of training_sets ({known}), found '{name}'.")
    recipe = config["training_sets"][name]
    if name in (PLAIN, WITH_VIEWS):
        raise UserError(
            f"config key exposure.added: expected a training set of another name than the table's other support sets, "
            f"found '{name}'."
        )
    if recipe["method"] != "generate" or is_guided(recipe):
        raise UserError(
            f"config key exposure.added: expected a training set that is generated without text, found '{name}'."
        )


def _check_exposed(config: Config, key: str, sources: Mapping[str, Sequence[str]]) -> None:
    _known(key, sources, config["anomaly_sources"])
    for source, objectives in sources.items():
        made = config["anomaly_sources"][source]
        if "regression" in objectives and not (made["method"] == "text_edit" and len(made["strengths"]) > 1):
            raise UserError(
                f"config key {key}.{source}: expected regression only for a source with several strengths (text_edit), "
                "found one without."
            )


def _without_overrides(section: Config) -> Config:
    return {key: value for key, value in section.items() if key != "overrides"}


def _known(key: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise UserError(f"config key {key}: expected one of {', '.join(known) or 'none'}, found '{name}'.")
