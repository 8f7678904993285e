"""The config of a study: completed from the default, checked against its schema and for what its parts need of others.

What a single value may be is in ``workflow/schemas/config.schema.yaml``; ``references`` checks what keys are called,
and with the rooms' own checks whether the parts fit each other.
"""

import copy
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from variad.core.errors import UserError
from variad.generation.settings import STEP, made_by, takes_unlabelled, turns_images, turns_of
from variad.paper.ablation_entries import check_ablations
from variad.selection.settings import check_exposure, check_recipes, check_selection
from variad.study.references import check_names, check_predict, check_references, check_study

SELECTION_SECTIONS = {"anomaly_sources", "candidates", "selection"}
# sections that change nothing of what a study finds, so that the default's caption holds with others in their place
WITHOUT_EFFECT = {"run", "downloads", "plan", "part"}
LONGEST_SHOWN = 100  # characters of a wrong value
# methods whose keys no other recipe gets: with its defaults, a new key of theirs would have every other one made again
KEYS_ALONE = {"unlabelled", "unlabelled_generated"}
SCHEMA = Path(__file__).resolve().parents[3] / "schemas" / "config.schema.yaml"
Config = dict[str, Any]

# YAML's .nan and .inf would pass every limit, 2.0 is no number of runs, and True is no number at all
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "number": lambda _, value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ),
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
    }
)
# the safe loader in C, ten times as fast, where PyYAML was built with it: every job on a cluster reads the schema
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
Validator = extend(Draft202012Validator, type_checker=_TYPES)  # type: ignore[no-untyped-call]


def resolve(given: Config, default: str | Path) -> Config:
    """Complete, check and return a config.

    A top-level section that ``given`` holds replaces the default's whole section; one that it lacks is taken from the
    file ``default``; what a section leaves out is filled from the schema. The default's caption describes the default,
    so that a config with another study in it has its own or none.

    Raises:
        UserError: a key is unknown or no name for a folder, a value breaks the schema, a name that is referred to does
            not exist, or parts of the config do not fit each other.
    """
    shipped = load_yaml(default)
    config = {**copy.deepcopy(shipped), **copy.deepcopy(given)}
    written = copy.deepcopy(config["training_sets"])
    check_names(config)
    schema = load_yaml(SCHEMA)
    for recipe in _mappings(config.get("training_sets")):
        _fill_rotations(recipe, schema["$defs"]["per_scenario"]["properties"])
    _fill_defaults(config, schema, schema)
    _check(config, schema)
    for name in config["training_sets"]:
        _check_heeded(name, config["training_sets"][name], written[name], schema["$defs"]["recipe"]["properties"])
    _check_settings(config, schema)
    if "study" not in given:  # the default's names data sets of the default, which a user's config need not have
        for part in config["study"]["only"].values():
            if "datasets" in part:
                part["datasets"] = [name for name in part["datasets"] if name in config["datasets"]]
    check_ablations(config)
    check_references(config)
    check_study(config)
    # the default's other sections need not fit the data sets of a user who does not ask for what they are about
    for sections, check in (
        ({"predict"}, check_predict),
        (SELECTION_SECTIONS, check_selection),
        ({"exposure"}, check_exposure),
        ({"recipes"}, check_recipes),
    ):
        if sections & set(given):
            check(config)
    config["run"]["caption"] = _caption(given, shipped)
    return config


def load_yaml(path: str | Path) -> Config:
    """Read a YAML mapping.

    Raises:
        UserError: the file is missing, is not YAML, or holds no mapping.
    """
    try:
        content = yaml.load(Path(path).read_text("utf-8"), _LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: expected a YAML file, found: {error}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a YAML mapping, found {type(content).__name__}.")
    return content


def merged(default: Config, override: Config | None) -> Config:
    """A copy of ``default`` with the keys of ``override`` replaced."""
    return {**default, **(override or {})}


def _mappings(section: Any) -> list[Config]:
    """Entries of a section that are mappings, as the schema will ask all of them to be."""
    return [entry for entry in section.values() if isinstance(entry, dict)] if isinstance(section, dict) else []


def _fill_rotations(recipe: Config, scenarios: Iterable[str]) -> None:
    """Complete a recipe that turns images: all turned copies of each, where it does not say how many.

    Not by the schema's ``default``, so that no other recipe, nor the record of it in ``added.h5``, has these keys.
    """
    if not isinstance(recipe.get("method"), str) or not turns_images(recipe):
        return
    for key, value in {"angles": STEP, "mirror": False, "rotations": "always"}.items():
        recipe.setdefault(key, value)
    # smaller angles, which the schema refuses, would make more copies than memory holds
    counts, number = recipe.get("images_per_shot", {}), Validator({"type": "number", "minimum": 1})
    if isinstance(counts, dict) and number.is_valid(recipe["angles"]):
        recipe["images_per_shot"] = {**dict.fromkeys(scenarios, len(turns_of(recipe))), **counts}
        if recipe.get("method") == "unlabelled_generated":
            recipe.setdefault("images_per_image", len(turns_of(recipe)))


def _fill_defaults(node: Any, schema: Any, root: Config) -> None:
    """Set the schema's ``default`` where a mapping lacks a key, from the outside in."""
    if not isinstance(node, dict) or not isinstance(schema, dict):
        return
    schema = _dereference(schema, root)
    known = schema.get("properties", {})
    for key, child in known.items():
        child = _dereference(child, root)
        if key not in node and "default" in child and not _of_others(child, node):
            node[key] = copy.deepcopy(child["default"])
    for key, value in node.items():
        _fill_defaults(value, known.get(key, schema.get("additionalProperties")), root)


def _of_others(child: Config, node: Config) -> bool:
    """Whether a key is one of methods that stand alone, and the entry is of another method."""
    methods = set(child.get("of", ()))
    return bool(methods) and methods <= KEYS_ALONE and str(node.get("method")) not in methods


def _dereference(schema: Config, root: Config) -> Config:
    if "$ref" not in schema:
        return schema
    target: Config = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _check(part: Any, schema: Config, key: str = "") -> None:
    """Check a part of the config, ``key``, by the schema, or by a part of it with the whole one's ``$defs``."""
    error = best_match(Validator(schema).iter_errors(part))
    if error is not None:
        where = ".".join([*filter(None, [key]), *map(str, error.absolute_path)])
        raise UserError(f"config key {where or '(top level)'}: {_expectation(error)}.")


def _check_heeded(name: str, recipe: Config, written: Config, known: Config) -> None:
    """That a recipe heeds every key which somebody wrote; one that is null says nothing.

    Args:
        recipe: the completed one.
        known: the schema of its keys; ``of`` says which methods heed one, ``with`` which value of another key it needs.
    """
    then, methods = recipe.get("then"), {recipe["method"], made_by(recipe)}
    method = f"method {recipe['method']}" + (f" with then: {then}" if then else "")
    for key in [key for key, value in written.items() if value is not None]:
        other, needed = next(iter(known[key].get("with", {}).items()), (None, None))
        if not methods & set(known[key].get("of", methods)):
            reason = f"{method} does not heed it ({_listed(known[key]['of'])})"
        elif other and recipe.get(other) != needed:
            reason = f"it is heeded with {other}: {needed} alone"
        elif key == "images_per_shot" and takes_unlabelled(recipe):
            reason = f"{method} has images_per_image in its place"
        elif key == "images_per_shot" and recipe.get("as_pool"):
            reason = "as_pool: true takes its place"
        else:
            continue
        raise UserError(f"config key training_sets.{name}.{key}: expected none, as {reason}, found {written[key]!r}.")


def _listed(methods: list[str]) -> str:
    *others, last = methods
    return f"{', '.join(others)} and {last} do" if others else f"{last} does"


def _check_settings(config: Config, schema: Config) -> None:
    """What only a method or an adapter can say: its settings, and the categories of a published data set."""
    parts = schema["$defs"]
    for name, detector in config["detectors"].items():
        settings = parts["detector_settings"].get(detector["method"], {})
        _check(detector["settings"], {**settings, "$defs": parts}, f"detectors.{name}.settings")
    for name, dataset in config["datasets"].items():
        settings = parts["adapter_settings"].get(dataset["adapter"], {})
        _check(dataset["settings"], {**settings, "$defs": parts}, f"datasets.{name}.settings")
        known = {"propertyNames": parts["adapter_categories"].get(dataset["adapter"], {})}
        _check(dataset["categories"], known, f"datasets.{name}.categories")
    for section, settings in parts["training_settings"].items():
        for name, entry in config[section].items():
            _check(entry["training"], {**settings, "$defs": parts}, f"{section}.{name}.training")


def _expectation(error: ValidationError) -> str:
    """What was expected and what was found, in words."""
    found = repr(error.instance)
    found = found if len(found) <= LONGEST_SHOWN else f"{found[:LONGEST_SHOWN]}..."
    if isinstance(error.schema, dict) and "expected" in error.schema:
        return f"expected {error.schema['expected']}, found {found}"
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        known = set(error.schema.get("properties", {}))
        unknown = sorted(map(repr, set(error.instance) - known))  # type: ignore[arg-type]
        expected = f"only the keys {', '.join(sorted(known))}" if known else "no keys"
        return f"expected {expected}, found {', '.join(unknown)}"
    if error.validator == "required":
        return f"expected the key {error.message.removesuffix(' is a required property')}, found none"
    descriptions = {
        "type": f"a value of type {error.validator_value}",
        "enum": f"one of {error.validator_value}",
        "minimum": f"at least {error.validator_value}",
        "exclusiveMinimum": f"more than {error.validator_value}",
        "maximum": f"at most {error.validator_value}",
        "exclusiveMaximum": f"less than {error.validator_value}",
        "multipleOf": f"a multiple of {error.validator_value}",
        "const": repr(error.validator_value),
        "uniqueItems": "every entry once",
        "minLength": "a text that is not empty",
        "maxItems": f"at most {error.validator_value} entries",
        "pattern": f"a value that matches {error.validator_value}",
        "minItems": f"at least {error.validator_value} entries",
        "minProperties": f"at least {error.validator_value} entries",
    }
    described = descriptions.get(str(error.validator))
    return f"expected {described}, found {found}" if described else error.message


def _caption(given: Config, shipped: Config) -> str:
    own: str | None = (given.get("run") or {}).get("caption")
    if own is not None:
        return own
    changed = {section for section in given if given[section] != shipped.get(section)}
    return "" if changed - WITHOUT_EFFECT else str(shipped["run"]["caption"])
