"""Whether every name that the config's section ``recipes`` uses refers to something."""

from collections.abc import Iterable
from typing import Any

from variad.errors import UserError

Config = dict[str, Any]


def check_recipes(config: Config) -> None:
    """Check the section.

    Raises:
        UserError: a detector, scenario or default recipe that the study lacks, or an unknown source.
    """
    section, study = config["recipes"], config["study"]
    _known("detectors", section["detectors"], study["detectors"])
    _known("scenarios", section["scenarios"], study["scenarios"])
    _known("sources", section["sources"] or [], config["anomaly_sources"])
    if section["detectors"]:
        _known("default", [section["default"]], study["training_sets"])


def _known(key: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise UserError(f"config key recipes.{key}: expected one of {', '.join(known) or 'none'}, found '{name}'.")
