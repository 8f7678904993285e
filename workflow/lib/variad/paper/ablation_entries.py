"""Which cells the config section ``ablations`` asks for, and whether what it names is there.

An entry names data, scenario, detector and training sets.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from variad.core.errors import UserError

BASELINE = "original"
WITHOUT_CELLS = ("prompts", "tsne")  # they need prompts, or features, and no detector's scores
OF_GENERATED = ("variance_forms", "iterations")  # what they compare is a setting of the generator

Config = Mapping[str, Any]
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class CellName:
    """What names one cell of a study."""

    dataset: str
    category: str
    scenario: str
    training_set: str
    detector: str

    @property
    def folder(self) -> str:
        """Where the cell's files lie, from the working directory."""
        return "/".join(("results", self.dataset, self.category, self.scenario, self.training_set, self.detector))


def entries(ablations: Mapping[str, Entry]) -> Iterator[tuple[str, Entry]]:
    """Every entry with its key; those of ``maps`` one by one, as ``maps.figure_11``."""
    for name, entry in ablations.items():
        if name == "maps":
            yield from ((f"maps.{figure}", part) for figure, part in entry.items())
        else:
            yield name, entry


def places(entry: Entry, datasets: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(data set, category, detector) of an entry; one that names no category has all of its data set."""
    if "cells" in entry:
        return [(cell["dataset"], cell["category"], cell["detector"]) for cell in entry["cells"]]
    detectors = entry.get("detectors") or [entry.get("detector", "")]
    if "category" in entry:
        categories: Sequence[str] = [entry["category"]]
    else:
        categories = entry.get("categories") or list(datasets[entry["dataset"]]["categories"])
    return [(entry["dataset"], category, detector) for detector in detectors for category in categories]


def scenarios_of(entry: Entry) -> list[str]:
    """The scenarios of an entry, one or several."""
    return list(entry["scenarios"]) if "scenarios" in entry else [entry["scenario"]]


def training_sets_of(entry: Entry) -> list[str]:
    """The training sets that an entry names, each once, without the baseline."""
    names = _flat(entry.get("training_sets", entry.get("training_set", [])))
    return [name for name in dict.fromkeys(names) if name != BASELINE]


def _flat(names: Any) -> list[str]:
    if isinstance(names, str):
        return [names]
    parts = names.values() if isinstance(names, Mapping) else names
    return [name for part in parts for name in _flat(part)]


def cells_of(entry: Entry, datasets: Mapping[str, Any]) -> list[CellName]:
    """The cells that an entry compares: at each of its places the baseline, then its training sets."""
    return [
        CellName(dataset, category, scenario, training_set, detector)
        for dataset, category, detector in places(entry, datasets)
        for scenario in scenarios_of(entry)
        for training_set in (BASELINE, *training_sets_of(entry))
    ]


def all_cells(ablations: Mapping[str, Entry], datasets: Mapping[str, Any]) -> list[CellName]:
    """The cells of every entry that needs scores, each once."""
    wanted = (entry for name, entry in entries(ablations) if name not in WITHOUT_CELLS)
    return list(dict.fromkeys(cell for entry in wanted for cell in cells_of(entry, datasets)))


def check_ablations(config: Config) -> None:
    """Check every name that ``ablations`` uses.

    Raises:
        UserError: an entry names a data set, category, scenario, detector, training set or encoder that is not there,
            or asks for what these cannot give.
    """
    for name, entry in entries(config["ablations"]):
        key = f"ablations.{name}"
        for cell in entry.get("cells", [entry]):
            one_of(f"{key}.dataset", cell["dataset"], config["datasets"])
        for dataset, category, detector in places(entry, config["datasets"]):
            one_of(f"{key}.category", category, config["datasets"][dataset]["categories"])
            if detector:
                one_of(f"{key}.detector", detector, config["detectors"])
                extractor = config["detectors"][detector]["extractor"]
                one_of(f"detectors.{detector}.extractor", extractor, config["extractors"])
        for scenario in scenarios_of(entry):
            one_of(f"{key}.scenario", scenario, config["scenarios"])
        for training_set in (BASELINE, *training_sets_of(entry)):
            one_of(f"{key}.training_sets", training_set, config["training_sets"])
        if name != "prompts" and not training_sets_of(entry):
            raise UserError(f"config key {key}.training_set: expected another one than {BASELINE!r}, found no other.")
        _check_kind(name, key, entry, config)


def _check_kind(name: str, key: str, entry: Entry, config: Config) -> None:
    """What one kind of entry needs beside names."""
    if name == "prompts" and entry["encoder"] is not None:
        one_of(f"{key}.encoder", entry["encoder"], config["encoders"])
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


def one_of(key: str, name: str, known: Iterable[str]) -> None:
    """Check that what ``key`` names is known.

    Raises:
        UserError: it is not.
    """
    if name not in known:
        raise UserError(f"config key {key}: expected one of {', '.join(known)}, found {name!r}.")
