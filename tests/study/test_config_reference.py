"""The reference of the config: README.md says what the schema says, and the schema says what the code does."""

import dataclasses
import importlib
import inspect
import re
import runpy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from variad.anomalies.diffusion_sources import MixSettings
from variad.anomalies.direction import DirectionSettings
from variad.anomalies.image_sources import make_from_images
from variad.core.errors import UserError
from variad.datasets.adapters import ADAPTERS
from variad.detectors.efficientad import EfficientADSettings
from variad.detectors.interface import METHODS, Extractor, detector_class
from variad.generation.settings import GenerationSettings
from variad.networks.encoders import load_encoder
from variad.selection.neighbours import Neighbours
from variad.study.configuration import SCHEMA, load_yaml

ROOT = load_yaml(SCHEMA)
reference = SimpleNamespace(**runpy.run_path("config/generate.py"))
README = reference.README.read_text("utf-8")
DETECTORS = ROOT["$defs"]["detector_settings"]
SETTINGS = ROOT["$defs"]["adapter_settings"]
# values at and around the ends of the settings' ranges
PROBES = [None, True, -1, 0, 1e-6, 0.5, 1, 1.5, 3, 4, 6, 64, 1000, "", "none", "float32", [], [1], [0]]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """A part of the schema in place of a reference to it."""
    return reference.resolved(node, ROOT)


def mappings(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with known keys below a part of the schema, by its path."""
    node = resolved(node)
    if "properties" in node:
        yield path, node
    each = node.get("additionalProperties")
    below = {**node.get("properties", {}), **({"*": each} if isinstance(each, dict) else {})}
    for name, child in below.items():
        yield from mappings(child, f"{path}.{name}".removeprefix("."))


ALL = dict(mappings(ROOT))
KEYS = [(path, key, resolved(node)) for path, part in ALL.items() for key, node in part["properties"].items()]


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
    module, _, name = ADAPTERS[adapter].partition(":")
    kind = getattr(importlib.import_module(module), name)
    return {field.name: plain(field.default) for field in dataclasses.fields(kind) if field.name != "root"}


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


def test_the_readme_is_what_the_schema_gives() -> None:
    assert reference.filled(README, ROOT) == README, "run `make reference`"


def test_a_changed_schema_changes_the_readme() -> None:
    changed = load_yaml(SCHEMA)
    changed["$defs"]["recipe"]["properties"]["iterations"]["default"] = 21
    new = set(reference.filled(README, changed).splitlines()) - set(README.splitlines())
    assert len(new) == 1 and "| `iterations` | `generate` |" in new.pop()


@pytest.mark.parametrize("section", ROOT["properties"])
def test_every_key_is_in_the_table_of_its_section(section: str) -> None:
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    assert "\n| key |" in text or "\n| entry |" in text
    for path, key, _ in KEYS:
        # data sets and categories may override keys that have a table of their own
        if path.split(".")[0] == section and path != "datasets.*.prompts":
            assert re.search(rf"[`.{{ ]{re.escape(key)}[`:,.}}]", text), f"{path}.{key}"


def test_overridden_prompts_are_prompts() -> None:
    said = {"default": None, "from": "", "description": ""}
    own, overriding = (
        {name: {**resolved(node), **said} for name, node in ALL[path]["properties"].items()}
        for path in ("prompts", "datasets.*.prompts")
    )
    assert own == overriding


def test_links_lead_to_the_sections() -> None:
    links = re.findall(r"\[(\w+)\]\(#(\w+)\)", README)
    assert [name for name, _ in links] == re.findall(r"^## (\w+)$", README, re.M)
    assert all(name == anchor for name, anchor in links)


def test_defaults_are_allowed_and_origins_known() -> None:
    for path, key, node in KEYS:
        if "default" in node and node["default"] != {}:  # an empty mapping is filled with the defaults below it
            assert validator(node).is_valid(node["default"]), f"{path}.{key}"
        origins = re.findall(r"\[(\w+)\]", node.get("from", "[1]"))
        assert set(origins) <= {"1", "2", "lit", "assumed", "ours"}
        assert origins or node["from"].startswith("as `"), f"{path}.{key}"


def test_names_that_the_code_knows_are_explained() -> None:
    for key, known in (("datasets.*.adapter", ADAPTERS), ("detectors.*.method", METHODS)):
        explained = re.findall(r"`(\w+)`", reference.find(ROOT, key)["description"])
        assert [name for name in known if name not in explained] == []


def heeded(path: str, method: str) -> dict[str, Any]:
    """Default of each key that only one method, or that one and others, heed."""
    nodes = {name: resolved(node) for name, node in ALL[path]["properties"].items()}
    return {name: node.get("default") for name, node in nodes.items() if method in node.get("of", [])}


def test_methods_heed_what_the_code_takes() -> None:
    for path, key, node in KEYS:
        keys = ALL[path]["properties"]
        kinds = resolved(keys.get("method", keys.get("kind", {}))).get("enum", [])
        assert set(node.get("of", [])) <= set(kinds), f"{path}.{key}"
    mixed, edited = (heeded("anomaly_sources.*", method) for method in ("style_mix", "text_edit"))
    made = dataclasses.asdict(MixSettings())
    assert {name: mixed[name] for name in made} == made
    assert mixed.keys() - made.keys() == {"diffusion_model", "steps", "batch_size"}
    learned = dataclasses.asdict(DirectionSettings())
    assert {name: edited[name] for name in learned} == learned
    blurred = inspect.signature(make_from_images).parameters
    assert heeded("anomaly_sources.*", "blurred") == {"resolution": blurred["resolution"].default}
    assert heeded("anomaly_sources.*", "unrelated") == {"images": blurred["donor_images"].default}
    generated = [field.name for field in dataclasses.fields(GenerationSettings)]
    assert heeded("training_sets.*", "generate").keys() == {"images_per_shot", "vqgan", "encoder", *generated}
    near, arguments = heeded("candidates.*", "neighbours"), inspect.signature(Neighbours).parameters
    assert {name: near[name] for name in ("grid", "bank_patches")} == {
        name: arguments[name].default for name in ("grid", "bank_patches")
    }
    temperature = inspect.signature(load_encoder).parameters["temperature"].default
    assert heeded("encoders.*", "conse") == {"temperature": temperature}
