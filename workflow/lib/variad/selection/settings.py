"""The config's sections on selection: what holds for a data set, and whether every name refers to something."""

from collections.abc import Iterable, Mapping
from typing import Any

from variad.errors import UserError
from variad.selection.methods import kind_of
from variad.selection.template_sets import find_templates

Config = dict[str, Any]
# names of rows that are no anomaly source
RESERVED = ("random", "largest_backbone", "default", "reconstruction")


def selection_of(config: Config, dataset: str) -> Config:
    """The section ``selection`` with the keys that differ for a data set in their place."""
    section = config["selection"]
    plain = {key: value for key, value in section.items() if key != "overrides"}
    return {**plain, **section["overrides"].get(dataset, {})}


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
    """Check every name that the sections on selection use.

    Raises:
        UserError: a data set, category, source, candidate set, detector, encoder or template set is unknown.
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
        for key, kind in (("candidates", "detector"), ("templates", "prompt")):
            _known(f"{where}.{key}", chosen[key], config["candidates"])
            for name in chosen[key]:
                _check_candidates(config, name, f"{where}.{key}", kind)
        default = chosen["default"]
        if default is not None:
            _known(f"{where}.default", [default.partition("/")[0]], chosen["candidates"])
    for name in config.get("anomaly_sources", {}):
        if name in RESERVED:
            raise UserError(f"config key anomaly_sources: expected a name other than {', '.join(RESERVED)}, found it.")


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
    if method == "templates":
        _known(f"candidates.{name}.encoder", [entry["encoder"]], config["encoders"])
        try:
            find_templates(entry["templates"])
        except UserError as error:
            raise UserError(f"config key candidates.{name}.{error}") from error


def _known(key: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise UserError(f"config key {key}: expected one of {', '.join(known) or 'none'}, found '{name}'.")
