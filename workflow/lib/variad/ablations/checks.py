"""What the config section ``ablations`` refers to must exist."""

from collections.abc import Iterable, Mapping
from typing import Any

from variad.ablations.entries import BASELINE, Entry, entries, places, scenarios_of, training_sets_of
from variad.errors import UserError

OF_GENERATED = ("variance_forms", "iterations")  # what they compare is a setting of the generator

Config = Mapping[str, Any]


def check_ablations(config: Config) -> None:
    """Check every name that ``ablations`` uses.

    Raises:
        UserError: an entry names a data set, category, scenario, detector, training set or encoder that is not there,
            or asks for what these cannot give.
    """
    for name, entry in entries(config["ablations"]):
        key = f"ablations.{name}"
        for dataset in _datasets(entry):
            _one_of(f"{key}.dataset", dataset, config["datasets"])
        for dataset, category, detector in places(entry, config["datasets"]):
            _one_of(f"{key}.category", category, config["datasets"][dataset]["categories"])
            if detector:
                _one_of(f"{key}.detector", detector, config["detectors"])
                extractor = config["detectors"][detector]["extractor"]
                _one_of(f"detectors.{detector}.extractor", extractor, config["extractors"])
        for scenario in scenarios_of(entry):
            _one_of(f"{key}.scenario", scenario, config["scenarios"])
        for training_set in (BASELINE, *training_sets_of(entry)):
            _one_of(f"{key}.training_sets", training_set, config["training_sets"])
        if name != "prompts" and not training_sets_of(entry):
            raise UserError(f"config key {key}.training_set: expected another one than {BASELINE!r}, found no other.")
        _check_kind(name, key, entry, config)


def _check_kind(name: str, key: str, entry: Entry, config: Config) -> None:
    if name == "prompts" and entry["encoder"] is not None:
        _one_of(f"{key}.encoder", entry["encoder"], config["encoders"])
    if name.startswith("maps."):
        runs, kept = config["scenarios"][entry["scenario"]]["runs"], config["study"]["keep_map_runs"]
        if not any(run < runs for run in kept):
            found = ", ".join(map(str, kept)) or "none"
            raise UserError(f"config key study.keep_map_runs: expected a run, whose maps {key} shows, found {found}.")
    if name == "tsne" and entry["run"] >= config["scenarios"][entry["scenario"]]["runs"]:
        runs = config["scenarios"][entry["scenario"]]["runs"]
        raise UserError(f"config key {key}.run: expected a run below {runs}, found {entry['run']}.")
    if name == "variance_forms" and len(training_sets_of(entry)) < len(entry["training_sets"]):
        names = ", ".join(entry["training_sets"].values())
        raise UserError(f"config key {key}.training_sets: expected another one for each form, found {names}.")
    for training_set in training_sets_of(entry) if name in OF_GENERATED else []:
        method = config["training_sets"][training_set]["method"]
        if method != "generate":
            raise UserError(
                f"config key {key}.training_sets: expected training sets of method generate, found {training_set!r} of "
                f"method {method}."
            )


def _datasets(entry: Entry) -> list[str]:
    return [cell["dataset"] for cell in entry["cells"]] if "cells" in entry else [entry["dataset"]]


def _one_of(key: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise UserError(f"config key {key}: expected one of {', '.join(known)}, found {name!r}.")
