"""Completing and checking a config."""

import copy
from pathlib import Path

import pytest
import yaml

from tests.configs import load
from variad.configuration import load_yaml, merged, resolve
from variad.detectors import create_detector
from variad.detectors.base import Extractor
from variad.errors import UserError

DEFAULT = "config/config.yaml"


@pytest.fixture(scope="module")
def default():
    return load_yaml(DEFAULT)


def study(**more):
    sections = {"scenarios": ["one_shot"], "training_sets": ["original", "generated"], "detectors": ["patchcore"]}
    return {"study": {**sections, **more}}


def test_a_section_replaces_the_whole_section_and_others_stay(default):
    mine = {"adapter": "folder", "path": "photos", "categories": {"lid": {"class_name": "lid"}}}
    config = resolve({"datasets": {"mine": mine}}, DEFAULT)
    assert list(config["datasets"]) == ["mine"]
    assert config["scenarios"] == default["scenarios"]


def test_defaults_of_the_schema_fill_what_is_missing():
    recipe = resolve({}, DEFAULT)["training_sets"]["generated"]
    assert recipe["learning_rate"] == 0.05
    assert recipe["sigma"] == "codebook"
    config = resolve({"training_sets": {**load_yaml(DEFAULT)["training_sets"], "x": {"method": "duplicate"}}}, DEFAULT)
    assert config["training_sets"]["x"]["images_per_shot"] == {"one_shot": 8, "few_shot": 4, "full_shot": 1}


def test_extractors_of_ones_own_need_not_serve_the_defaults_other_detectors():
    mine = {"lite0": {"backbone": "efficientnet_lite0", "layers": ["stage3"]}}
    assert list(resolve({"extractors": mine, **study()}, DEFAULT)["extractors"]) == ["lite0"]
    with pytest.raises(UserError, match=r"detectors.efficientad.extractor: expected one of extractors \(lite0\)"):
        resolve({"extractors": mine}, DEFAULT)


def test_the_given_config_is_not_changed():
    given = {"run": {"gpu": 0}}
    before = copy.deepcopy(given)
    assert resolve(given, DEFAULT)["run"]["seed"] == 0
    assert given == before


def test_the_default_keeps_the_paper_recipe_of_generated():
    recipe = resolve({}, DEFAULT)["training_sets"]["generated"]
    fixed = {"form": "mu_sigma_epsilon", "iterations": 20, "learning_rate": 0.05, "output": "decoded"}
    assert {key: recipe[key] for key in fixed} == fixed
    assert recipe["guidance"] > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sead": 1}, r"\(top level\): expected only the keys .*found 'sead'"),
        ({"run": {"sead": 1}}, r"config key run: expected only the keys caption, gpu, seed, found 'sead'"),
        ({"scenarios": {"one_shot": {"shots": -1, "runs": 5}}}, r"scenarios.one_shot.shots: .*at least 1, found -1"),
        ({"scenarios": {"one_shot": {"shots": 1}}}, r"scenarios.one_shot: expected 'runs' is a required property"),
        ({"image_size": "big"}, r"config key image_size: expected a value of type integer, found 'big'"),
        (
            {"downloads": {"sources": {"mnist": {}}}},
            r"config key downloads.sources: expected one of mvtec_ad, btad, .*, found 'mnist'",
        ),
        (
            {"downloads": {"sources": {"btad": {"url": "ftp://a/b.zip"}}}},
            r"downloads.sources.btad.url: expected a value that matches \^https\?://, found 'ftp://a/b.zip'",
        ),
        ({"datasets": {}}, r"config key datasets: .*entries|non-empty"),
        (
            study(detectors=["p"]) | {"detectors": {"p": {"method": "patchcore", "extractor": "vgg"}}},
            r"detectors.p.extractor: expected one of extractors \(.*\), found 'vgg'",
        ),
        (
            {"detectors": {"p": {"method": "patchcore", "extractor": "lite0", "layers": ["stage9"]}}},
            r"detectors.p.layers: expected one of .*, found 'stage9'",
        ),
        (
            {"detectors": {"p": {"method": "patchcor", "extractor": "lite0"}}},
            r"config key detectors.p.method: expected a method among patchcore.*, found 'patchcor'",
        ),
        (study(only={"padim": {}}), r"study.only: expected one of patchcore, found 'padim'"),
        (
            study(only={"patchcore": {"scenarios": ["full_shot"]}}),
            r"study.only.patchcore.scenarios: expected one of one_shot, found 'full_shot'",
        ),
        (
            study(only={"patchcore": {"training_sets": ["generated"]}}),
            r"study.only.patchcore.training_sets: expected 'original' among them",
        ),
        (
            {"study": {"scenarios": ["one_shot"], "training_sets": ["generated"], "detectors": ["patchcore"]}},
            r"study.training_sets: expected 'original' among them",
        ),
        (
            {"prompts": {"encoder": "clip", "word_source": "wordlist"}},
            r"prompts.encoder: expected one of encoders \(conse\), found 'clip'",
        ),
        (
            {"diffusion_models": {"ddpm": {"kind": "ddim"}}},
            r"diffusion_models.ddpm.kind: expected one of .'small', 'adm', 'diffusers'., found 'ddim'",
        ),
        (
            {"diffusion_models": {"adm": {"kind": "adm", "model": "a/b"}}},
            r"diffusion_models.adm.weights: expected a file or folder, found none",
        ),
    ],
)
def test_mistakes_are_named(given, message):
    with pytest.raises(UserError, match=message):
        resolve(given, DEFAULT)


def test_files_that_are_no_mapping(tmp_path):
    with pytest.raises(UserError, match="expected a YAML file"):
        load_yaml(tmp_path / "absent.yaml")
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump([1]))
    with pytest.raises(UserError, match="expected a YAML mapping, found list"):
        load_yaml(path)


def test_merged_replaces_keys_only():
    assert merged({"a": 1, "b": 2}, {"b": 3}) == {"a": 1, "b": 3}
    assert merged({"a": 1}, None) == {"a": 1}


@pytest.mark.parametrize("path", sorted(Path("config").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_that_ships_is_complete_and_its_detectors_know_their_settings(path):
    config = resolve(load(path.name), DEFAULT)
    for entry in config["detectors"].values():
        source = config["extractors"][entry["extractor"]]
        layers = tuple(entry["layers"] or source["layers"])
        resolution = source["resolution"] or config["image_size"]
        extractor = Extractor(source["backbone"], layers, source["weights"], resolution, source["crop"])
        create_detector(entry["method"], entry["settings"], extractor)
