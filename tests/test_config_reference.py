"""The schema of the config says what the code does: the names, defaults and values of every setting."""

import dataclasses
import importlib
import inspect
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from variad.configuration import SCHEMA, load_yaml
from variad.datasets import ADAPTERS
from variad.detectors import METHODS, detector_class
from variad.detectors.base import Extractor
from variad.detectors.efficientad.settings import EfficientADSettings
from variad.errors import UserError

ROOT = load_yaml(SCHEMA)
DETECTORS = ROOT["$defs"]["detector_settings"]
SETTINGS = ROOT["$defs"]["adapter_settings"]
# values at and around the ends of the settings' ranges
PROBES = [None, True, -1, 0, 1e-6, 0.5, 1, 1.5, 3, 4, 6, 64, 1000, "", "none", "float32", [], [1], [0]]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """A part of the schema in place of a reference to it."""
    if "$ref" not in node:
        return node
    target: Any = ROOT
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**resolved(target), **node}


def validator(node: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**resolved(node), "$defs": ROOT["$defs"]})


def documented(settings: dict[str, Any]) -> dict[str, Any]:
    """Default by name."""
    return {name: resolved(node)["default"] for name, node in resolved(settings)["properties"].items()}


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def defaults_of_detector(method: str) -> dict[str, Any]:
    if method == "efficientad":
        return dataclasses.asdict(EfficientADSettings())
    arguments = inspect.signature(detector_class(method)).parameters.values()
    return {a.name: plain(a.default) for a in arguments if a.name not in ("extractor", "device")}


def defaults_of_adapter(adapter: str) -> dict[str, Any]:
    kind = getattr(importlib.import_module(f"variad.datasets.{adapter}"), ADAPTERS[adapter])
    return {field.name: field.default for field in dataclasses.fields(kind) if field.name != "root"}


def settings_and_their_class(method: str) -> tuple[dict[str, Any], Any]:
    extractor = Extractor("pdn_tiny", ("features",), "resources/pdn_tiny/model.safetensors", 64, None)
    kind = detector_class(method)
    given = {"extractor": extractor} if "extractor" in inspect.signature(kind).parameters else {}
    return DETECTORS[method], lambda **settings: kind(**settings, **given)


def test_every_detector_and_adapter_has_settings_in_the_schema() -> None:
    assert list(DETECTORS) == list(METHODS)
    assert list(SETTINGS) == list(ADAPTERS)


@pytest.mark.parametrize("method", METHODS)
def test_detector_settings_are_the_code_s(method: str) -> None:
    assert documented(DETECTORS[method]) == defaults_of_detector(method)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapter_settings_are_the_code_s(adapter: str) -> None:
    assert documented(SETTINGS[adapter]) == defaults_of_adapter(adapter)


@pytest.mark.parametrize("method", METHODS)
def test_a_detector_takes_what_the_schema_takes(method: str) -> None:
    """The schema may refuse more than the constructor does, never less."""
    settings, kind = settings_and_their_class(method)
    tried = 0
    for name, node in settings["properties"].items():
        values = [*PROBES, *resolved(node).get("enum", []), resolved(node)["default"]]
        for value in values:
            if validator(node).is_valid(value):
                kind(**{name: value})
                tried += 1
    assert tried >= 2 * len(settings["properties"])


def test_a_detector_refuses_what_the_schema_refuses() -> None:
    """Out of range at either end, of the wrong type, and unknown."""
    wrong = {
        "patchcore": [{"coreset_fraction": 0}, {"coreset_fraction": 1.5}, {"coreset_limit": 0}, {"neighbours": 0}],
        "cflow": [{"warmup_fraction": 1}, {"condition_size": 6}, {"schedule": "none"}, {"clamp": 0}, {"patience": 0}],
        "reverse_distillation": [{"blocks": []}, {"blocks": [0]}, {"block": "none"}, {"max_steps": 0}],
        "efficientad": [{"held_out": 1}, {"border": "none"}, {"autoencoder": 1}, {"views": 0}, {"penalty": None}],
    }
    for method, cases in wrong.items():
        settings, kind = settings_and_their_class(method)
        for case in [*cases, {"sead": 1}]:
            assert not Draft202012Validator({**settings, "$defs": ROOT["$defs"]}).is_valid(case), case
            with pytest.raises((UserError, TypeError)):
                kind(**case)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_s_defaults_are_allowed(adapter: str) -> None:
    schema = {**resolved(SETTINGS[adapter]), "$defs": ROOT["$defs"]}
    Draft202012Validator(schema).validate(documented(SETTINGS[adapter]))


@pytest.mark.parametrize("part", [*DETECTORS.values(), *SETTINGS.values()])
def test_settings_are_schemas_that_name_what_they_are_for(part: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(part)
    assert all(resolved(node)["description"] for node in resolved(part)["properties"].values())
