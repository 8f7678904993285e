"""Whether every name that the config's section ``exposure`` uses refers to something."""

from collections.abc import Mapping, Sequence
from typing import Any

from variad.errors import UserError
from variad.exposure.names import PLAIN, WITH_VIEWS
from variad.selection.settings import selection_of

Config = dict[str, Any]


def exposure_of(config: Config, dataset: str) -> Config:
    """The section ``exposure`` with a data set's own sources, or of ``sources`` those that its selection has."""
    section = config["exposure"]
    plain = {key: value for key, value in section.items() if key != "overrides"}
    made = selection_of(config, dataset)["sources"]
    shared = {source: objectives for source, objectives in section["sources"].items() if source in made}
    return {**plain, "sources": shared, **section["overrides"].get(dataset, {})}


def check_exposure(config: Config) -> None:
    """Check the section.

    Raises:
        UserError: an unknown data set, source or training set, regression for a source without strengths, or a training
            set that cannot be generated from the support alone.
    """
    section = config["exposure"]
    _check_sources(config, "exposure.sources", section["sources"])
    for dataset, changed in section["overrides"].items():
        if dataset not in config["datasets"]:
            known = ", ".join(config["datasets"])
            raise UserError(f"config key exposure.overrides: expected one of {known}, found '{dataset}'.")
        _check_sources(config, f"exposure.overrides.{dataset}.sources", changed["sources"])
    if section["added"] is not None:
        _check_added(config, section["added"])


def _check_sources(config: Config, key: str, sources: Mapping[str, Sequence[str]]) -> None:
    for source, objectives in sources.items():
        if source not in config["anomaly_sources"]:
            known = ", ".join(config["anomaly_sources"]) or "none"
            raise UserError(f"config key {key}: expected one of {known}, found '{source}'.")
        if "regression" in objectives and not has_strengths(config["anomaly_sources"][source]):
            raise UserError(
                f"config key {key}.{source}: expected regression only for a source with several strengths (text_edit), "
                "found one without."
            )


def has_strengths(source: Config) -> bool:
    """Whether the anomalies of a source come in several strengths."""
    return bool(source["method"] == "text_edit" and len(source["strengths"]) > 1)


def _check_added(config: Config, name: str) -> None:
    recipe = config["training_sets"].get(name)
    if recipe is None:
        known = ", ".join(config["training_sets"])
        raise UserError(f"config key exposure.added: expected one of training_sets ({known}), found '{name}'.")
    if name in (PLAIN, WITH_VIEWS):
        raise UserError(
            f"config key exposure.added: expected a training set of another name than the table's other support sets, "
            f"found '{name}'."
        )
    if recipe["method"] != "generate" or (recipe["guidance"] > 0 and recipe["iterations"] > 0):
        raise UserError(
            f"config key exposure.added: expected a training set that is generated without text, found '{name}'."
        )
