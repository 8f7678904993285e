"""What the config's keys may be called where they become a part of a path: plain folder names that nothing else has."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from variad.core.errors import UserError
from variad.datasets.adapters import RENDERED_ADAPTERS
from variad.downloads.catalogue import ARCHIVES
from variad.selection.settings import NO_SOURCE, RESERVED

Config = Mapping[str, Any]

SECTIONS = (
    *("datasets", "encoders", "vqgans", "teachers", "diffusion_models", "training_sets", "extractors", "detectors"),
    *("anomaly_sources", "candidates"),
)
# signs that Windows has another use for, that Snakemake takes for wildcards, or a look-up in the config for a pattern
SIGNS = '/\\:*?"<>|[]{}'
LONGEST = 100  # bytes
LONGEST_TOGETHER = 220  # bytes of the names that a log's name is made of; a file system takes 255 in all

# what the workflow's own files and rows of tables are called, beside those that keys give their names to
TAKEN: dict[str, Collection[str]] = {
    "datasets": (
        *("tables", "paper", "figures", "gallery", "models", "logs", "benchmarks"),
        *("archives", "weights", "wordnet"),
    ),
    "categories": ("average",),
    "vqgans": ("conse.safetensors", "diffusion", "teachers"),
    "training_sets": ("prompts",),
    "detectors": ("features", "export", "added.h5", "contact_sheet.png", "image_quality.csv"),
    "anomaly_sources": ("inversions", NO_SOURCE, *RESERVED),
    "maps": (
        *("figure_12", "figure_15", "figure_16", "figure_17", "figure_18", "loco", "aupro"),
        *(f"table_{number:02}" for number in range(4, 19)),
    ),
}
ENDINGS_OF_TABLES = (".csv", ".md", ".json", ".html", ".js")  # of files beside the data sets' folders


def check_names(config: Config) -> None:
    """Check every key that becomes a part of a path; values of another type than the schema's are passed over.

    Raises:
        UserError: a key is no text, no plain folder name or too long, the workflow's own files or rows of its tables
            are called so, or it differs from another in upper and lower case alone.
    """
    for key, names in _named(config):
        for name in names:
            _check_name(key, name)
        alike: dict[str, str] = {}
        for name in names:
            if (other := alike.setdefault(_folded(name), name)) != name:
                raise UserError(
                    f"config key {key}: expected names that differ in more than upper and lower case, "
                    f"found {other!r} and {name!r}."
                )
    for name, dataset in _entries(config, "datasets").items():
        if name in ARCHIVES and isinstance(dataset, Mapping) and dataset.get("adapter") in RENDERED_ADAPTERS:
            raise UserError(
                f"config key datasets: expected a name that no downloaded archive has, found {name!r} for a data set "
                f"of adapter {dataset['adapter']}."
            )
    _check_lengths(config)


def _named(config: Config) -> Iterator[tuple[str, list[Any]]]:
    """Keys of the config, and the names that stand below them."""
    for section in SECTIONS:
        yield section, list(_entries(config, section))
    for name, dataset in _entries(config, "datasets").items():
        yield f"datasets.{name}.categories", list(_entries(dataset, "categories"))
    yield "ablations.maps", list(_entries(_entries(config, "ablations"), "maps"))


def _entries(mapping: Any, key: str) -> Mapping[Any, Any]:
    """An entry that is a mapping; an empty one where it is something else, which the schema then refuses."""
    found = mapping.get(key) if isinstance(mapping, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _check_name(key: str, name: Any) -> None:
    if not isinstance(name, str):
        raise UserError(
            f"config key {key}: expected names that are text, found {name!r}, a value of type {type(name).__name__}; "
            "write it in quotes."
        )
    shown = repr(name if len(name) <= LONGEST else f"{name[:20]}...")
    if fault := _fault(name):
        raise UserError(f"config key {key}: expected the name of a folder, found {shown}, which {fault}.")
    kind, folded = key.rpartition(".")[2], _folded(name)
    average = kind == "categories" and folded.startswith("average_")
    if folded in TAKEN.get(kind, ()) or average or (kind == "datasets" and folded.endswith(ENDINGS_OF_TABLES)):
        raise UserError(
            f"config key {key}: expected another name than those of the workflow's own files and rows, found {shown}."
        )


def _fault(name: str) -> str:
    """What is wrong with a name, to be read after ``which``; empty if nothing is."""
    if not name.strip():
        return "is empty"
    if len(name.encode("utf-8", "replace")) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    if odd := [letter for letter in name if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")]:
        return f"has the control character {odd[0]!r}"
    if signs := [letter for letter in name if letter in SIGNS]:
        return f"has the sign {signs[0]}"
    if name[0] in ".-" or name != name.lstrip():
        return "begins with a dot, a hyphen or a space"
    if name[-1] == "." or name != name.rstrip():
        return "ends with a dot or a space"
    return ""


def _folded(name: str) -> str:
    """What a file system that knows no upper and lower case takes a name for."""
    return unicodedata.normalize("NFC", name.casefold())


def _check_lengths(config: Config) -> None:
    """The names of logs hold those of data set and category, and of what is made there."""
    training_set = _longest(config, "training_sets")
    detector = max(_longest(config, "detectors"), _longest(config, "extractors"))
    alone = max(_longest(config, section) for section in SECTIONS[1:])
    made = max(training_set + detector, alone)
    for name, dataset in _entries(config, "datasets").items():
        found = len(name.encode()) + _longest(dataset, "categories") + made
        if found > LONGEST_TOGETHER:
            raise UserError(
                f"config key datasets.{name}: expected names of data set, category, training set and detector of at "
                f"most {LONGEST_TOGETHER} bytes together, found {found} for the longest of them."
            )


def _longest(mapping: Any, key: str) -> int:
    return max((len(name.encode()) for name in _entries(mapping, key)), default=0)
