"""The config of a study: completed from the default, checked against its schema, with cross references resolved."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from variad.ablations.checks import check_ablations
from variad.datasets import ADAPTERS
from variad.detectors import check_method
from variad.downloads.catalogue import CATALOGUE
from variad.errors import UserError
from variad.selection.settings import check_selection

SELECTION_SECTIONS = {"anomaly_sources", "candidates", "selection"}
SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "config.schema.yaml"
Config = dict[str, Any]


def resolve(given: Config, default: str | Path) -> Config:
    """Complete, check and return a config.

    A top-level section that ``given`` holds replaces the default's whole section; one that it lacks is taken from the
    file ``default``; what a section leaves out is filled from the schema.

    Raises:
        UserError: a key is unknown, a value breaks the schema, or a name that is referred to does not exist.
    """
    config = load_yaml(default)
    config.update(copy.deepcopy(given))
    schema = load_yaml(SCHEMA)
    _fill_defaults(config, schema, schema)
    _check(config, schema)
    _check_references(config)
    check_ablations(config)
    if SELECTION_SECTIONS & set(given):  # the default's need not fit the data sets of a user who does not select
        check_selection(config)
    return config


def load_yaml(path: str | Path) -> Config:
    """Read a YAML mapping.

    Raises:
        UserError: the file is missing, is not YAML, or holds no mapping.
    """
    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: expected a YAML file, found: {error}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a YAML mapping, found {type(content).__name__}.")
    return content


def merged(default: Config, override: Config | None) -> Config:
    """A copy of ``default`` with the keys of ``override`` replaced."""
    return {**default, **(override or {})}


def _check(config: Config, schema: Config) -> None:
    error = best_match(Draft202012Validator(schema).iter_errors(config))
    if error is not None:
        raise UserError(f"config key {_where(error)}: {_expectation(error)}.")


def _where(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.absolute_path) or "(top level)"


def _expectation(error: ValidationError) -> str:
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        known = set(error.schema.get("properties", {}))
        unknown = sorted(set(error.instance) - known)  # type: ignore[arg-type]
        return f"expected only the keys {', '.join(sorted(known))}, found {', '.join(map(repr, unknown))}"
    if error.validator == "required":
        return f"expected {error.message}"
    descriptions = {
        "type": f"a value of type {error.validator_value}",
        "enum": f"one of {error.validator_value}",
        "minimum": f"at least {error.validator_value}",
        "exclusiveMinimum": f"more than {error.validator_value}",
        "maximum": f"at most {error.validator_value}",
        "pattern": f"a value that matches {error.validator_value}",
        "minItems": f"at least {error.validator_value} entries",
        "minProperties": f"at least {error.validator_value} entries",
    }
    expected = descriptions.get(str(error.validator))
    return f"expected {expected}, found {error.instance!r}" if expected else error.message


def _fill_defaults(node: Any, schema: Config, root: Config) -> None:
    """Set the schema's ``default`` where a mapping lacks a key, from the outside in."""
    schema = _dereference(schema, root)
    if not isinstance(node, dict):
        return
    for key, child in schema.get("properties", {}).items():
        child = _dereference(child, root)
        if key not in node and "default" in child:
            node[key] = copy.deepcopy(child["default"])
        if key in node:
            _fill_defaults(node[key], child, root)
    further = schema.get("additionalProperties")
    if isinstance(further, dict):
        for key in set(node) - set(schema.get("properties", {})):
            _fill_defaults(node[key], further, root)


def _dereference(schema: Config, root: Config) -> Config:
    if "$ref" not in schema:
        return schema
    target: Config = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _check_references(config: Config) -> None:
    """Every name that one section uses must be defined in another."""
    for name, recipe in config["training_sets"].items():
        _defined(config, f"training_sets.{name}.vqgan", recipe.get("vqgan"), "vqgans")
        _defined(config, f"training_sets.{name}.encoder", recipe.get("encoder"), "encoders")
    for name, detector in config["detectors"].items():
        _check_method(name, detector["method"])
        if detector["extractor"] not in config["extractors"] and not _is_used(config, name):
            continue  # one of the default's, with extractors of the user's own
        _defined(config, f"detectors.{name}.extractor", detector["extractor"], "extractors")
        for layer in detector["layers"] or []:
            _one_of(f"detectors.{name}.layers", layer, config["extractors"][detector["extractor"]]["layers"])
    _defined(config, "prompts.encoder", config["prompts"]["encoder"], "encoders")
    for name, model in config["diffusion_models"].items():
        if not model["weights"] and not (model["kind"] == "diffusers" and model["model"]):
            raise UserError(f"config key diffusion_models.{name}.weights: expected a file or folder, found none.")
    for name, dataset in config["datasets"].items():
        _one_of(f"datasets.{name}.adapter", dataset["adapter"], ADAPTERS)
        encoder = dataset["prompts"].get("encoder")
        _defined(config, f"datasets.{name}.prompts.encoder", encoder, "encoders")
    for key, section in (("scenarios", "scenarios"), ("training_sets", "training_sets"), ("detectors", "detectors")):
        for name in config["study"][key]:
            _defined(config, f"study.{key}", name, section)
    for name, part in config["study"]["only"].items():
        _one_of("study.only", name, config["study"]["detectors"])
        known = {key: config["study"][key] for key in ("scenarios", "training_sets")} | {"datasets": config["datasets"]}
        for key, names in known.items():
            for value in part.get(key, []):
                _one_of(f"study.only.{name}.{key}", value, names)
        if "original" not in part.get("training_sets", ["original"]):
            raise UserError(f"config key study.only.{name}.training_sets: expected 'original' among them.")
    _defined(config, "predict.training_set", config["predict"]["training_set"], "training_sets")
    _defined(config, "predict.detector", config["predict"]["detector"], "detectors")
    for name in (name for pair in config["study"]["contrasts"] for name in pair):
        _one_of("study.contrasts", name, config["study"]["training_sets"])
    for name in config["downloads"]["sources"]:
        _one_of("downloads.sources", name, CATALOGUE)
    if "original" not in config["study"]["training_sets"]:
        raise UserError("config key study.training_sets: expected 'original' among them, found it missing.")


def _is_used(config: Config, detector: str) -> bool:
    return detector in config["study"]["detectors"] or detector == config["predict"]["detector"]


def _check_method(detector: str, method: str) -> None:
    try:
        check_method(method)
    except UserError as error:
        raise UserError(f"config key detectors.{detector}.method: {str(error).partition(': ')[2]}") from error


def _defined(config: Config, key: str, name: str | None, section: str) -> None:
    if name is not None and name not in config[section]:
        known = ", ".join(config[section])
        raise UserError(f"config key {key}: expected one of {section} ({known}), found {name!r}.")


def _one_of(key: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise UserError(f"config key {key}: expected one of {', '.join(known)}, found {name!r}.")
