"""Whether the parts of a config fit each other: the names that they use, and what one of them needs of another."""

from itertools import chain
from typing import Any

from variad.core.errors import UserError
from variad.datasets.adapters import RENDERED_ADAPTERS, check_adapter
from variad.detectors.interface import check_extractor, check_method
from variad.downloads.catalogue import ARCHIVES, CATALOGUE
from variad.paper.ablation_entries import BASELINE, entries, one_of, places

Config = dict[str, Any]

FROM_A_PACKAGE = ("elpv",)


def check_references(config: Config) -> None:
    """Check every name that one section uses of another, and what an entry needs beside itself.

    Raises:
        UserError: a name is not defined where it has to be, or an entry lacks what its kind needs.
    """
    for name, recipe in config["training_sets"].items():
        _defined(config, f"training_sets.{name}.vqgan", recipe.get("vqgan"), "vqgans")
        _defined(config, f"training_sets.{name}.encoder", recipe.get("encoder"), "encoders")
    used = _used_detectors(config)
    for name in config["detectors"]:
        _check_detector(config, name, name in used)
    for name in sorted(used & set(config["detectors"])):
        check_extractor(config, name)
    for name, extractor in config["extractors"].items():
        side = extractor["resolution"] or config["image_size"]
        if extractor["crop"] is not None and extractor["crop"] > side:
            raise UserError(
                f"config key extractors.{name}.crop: expected at most the {side} pixels of its images, "
                f"found {extractor['crop']}."
            )
    _defined(config, "prompts.encoder", config["prompts"]["encoder"], "encoders")
    for name, model in config["diffusion_models"].items():
        if not model["weights"] and not (model["kind"] == "diffusers" and model["model"]):
            raise UserError(f"config key diffusion_models.{name}.weights: expected a file or folder, found none.")
    for name, dataset in config["datasets"].items():
        _check_dataset(config, name, dataset)
    for name in config["downloads"]["sources"]:
        one_of("downloads.sources", name, CATALOGUE)


def _check_detector(config: Config, name: str, used: bool) -> None:
    detector = config["detectors"][name]
    key = f"detectors.{name}"
    try:
        check_method(detector["method"], detector["settings"])
    except UserError as error:
        raise UserError(f"config key {key}.method: {str(error).partition(': ')[2]}") from error
    if detector["extractor"] not in config["extractors"] and not used:
        return  # one of the default's, with extractors of the user's own
    _defined(config, f"{key}.extractor", detector["extractor"], "extractors")
    extractor = config["extractors"][detector["extractor"]]
    for layer in detector["layers"] or []:
        one_of(f"{key}.layers", layer, extractor["layers"])


def _used_detectors(config: Config) -> set[str]:
    """Those of the study, of predictions and of ablations."""
    compared = [place for _, entry in entries(config["ablations"]) for place in places(entry, config["datasets"])]
    return {*config["study"]["detectors"], config["predict"]["detector"], *(detector for _, _, detector in compared)}


def _check_dataset(config: Config, name: str, dataset: Config) -> None:
    adapter = dataset["adapter"]
    try:
        check_adapter(adapter, dataset["settings"])
    except UserError as error:
        raise UserError(f"config key datasets.{name}.adapter: {str(error).partition(': ')[2]}") from error
    _defined(config, f"datasets.{name}.prompts.encoder", dataset["prompts"].get("encoder"), "encoders")
    if adapter in FROM_A_PACKAGE and dataset["path"]:
        raise UserError(
            f"config key datasets.{name}.path: expected none, as images of adapter {adapter} come from a package, "
            f"found {dataset['path']!r}."
        )
    if not dataset["path"] and adapter not in (*FROM_A_PACKAGE, *RENDERED_ADAPTERS, *ARCHIVES):
        raise UserError(f"config key datasets.{name}.path: expected the data set's folder, found none.")
    prompts = {**config["prompts"], **dataset["prompts"]}
    if prompts["word_source"] == "wordlist" and not prompts["wordlist"]:
        key = f"datasets.{name}.prompts" if "word_source" in dataset["prompts"] else "prompts"
        raise UserError(f"config key {key}.wordlist: expected a file with one word a line, found none.")


def check_study(config: Config) -> None:
    """Check that what the study names is there, and that it has a cell to look at everywhere.

    Raises:
        UserError: a name is not defined, or a part of the study would have nothing to show.
    """
    study = config["study"]
    for key in ("scenarios", "training_sets", "detectors"):
        for name in study[key]:
            _defined(config, f"study.{key}", name, key)
    for name in chain.from_iterable(study["contrasts"]):
        one_of("study.contrasts", name, study["training_sets"])
    if BASELINE not in study["training_sets"]:
        raise UserError(f"config key study.training_sets: expected '{BASELINE}' among them, found it missing.")
    if (found := config["training_sets"][BASELINE]["method"]) != "none":
        raise UserError(
            f"config key training_sets.{BASELINE}.method: expected none, as gains are over the shots alone, "
            f"found {found!r}."
        )
    for name in study["training_sets"]:
        if config["training_sets"][name]["method"] == "real" and "full_shot" not in config["scenarios"]:
            raise UserError(
                f"config key scenarios: expected full_shot, whose shots training set {name!r} of method real draws "
                f"from, found {', '.join(config['scenarios'])}."
            )
    _check_only(config)
    _check_kept_maps(config)


def _check_only(config: Config) -> None:
    study = config["study"]
    known = {key: study[key] for key in ("scenarios", "training_sets")} | {"datasets": config["datasets"]}
    for name, part in study["only"].items():
        one_of("study.only", name, study["detectors"])
        for key, names in known.items():
            for value in part.get(key, []):
                one_of(f"study.only.{name}.{key}", value, names)
        if BASELINE not in part.get("training_sets", [BASELINE]):
            raise UserError(f"config key study.only.{name}.training_sets: expected '{BASELINE}' among them.")
    for dataset, entry in config["datasets"].items():
        parts = [study["only"].get(name, {}) for name in study["detectors"]]
        if entry["in_study"] and not any(dataset in part.get("datasets", [dataset]) for part in parts):
            raise UserError(f"config key study.only: expected a detector that sees data set {dataset}, found none.")


def _check_kept_maps(config: Config) -> None:
    """Every cell shows the maps of a run."""
    study = config["study"]
    for detector in study["detectors"]:
        part = study["only"].get(detector, {})
        for scenario in part.get("scenarios", study["scenarios"]):
            runs = config["scenarios"][scenario]["runs"]
            runs = min(runs, part.get("runs", runs))
            if not any(run < runs for run in study["keep_map_runs"]):
                raise UserError(
                    f"config key study.keep_map_runs: expected a run below {runs}, as many as {detector} has in "
                    f"{scenario}, found {study['keep_map_runs']}."
                )


def check_predict(config: Config) -> None:
    """Check the names of section ``predict``.

    Raises:
        UserError: a scenario, training set or detector that is not there.
    """
    for key in ("scenario", "training_set", "detector"):
        _defined(config, f"predict.{key}", config["predict"][key], f"{key}s")


def _defined(config: Config, key: str, name: str | None, section: str) -> None:
    if name is not None and name not in config[section]:
        known = ", ".join(config[section]) or "none"
        raise UserError(f"config key {key}: expected one of {section} ({known}), found {name!r}.")
