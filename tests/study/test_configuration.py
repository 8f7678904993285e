"""Completing and checking a config."""

import copy
import dataclasses
import inspect
import math
import re
from pathlib import Path

import pytest
import yaml

from tests.configs import load
from variad.core.errors import UserError
from variad.datasets import folders, packaged, textures
from variad.datasets.adapters import ADAPTERS
from variad.datasets.packaged import CELLS
from variad.datasets.textures import CATEGORIES
from variad.detectors.efficientad import SMALLEST_SIDE
from variad.detectors.efficientad_teacher import TeacherSettings
from variad.detectors.interface import LEVELS, SMALLEST_OF_TEACHERS, TEACHERS, Extractor, create_detector
from variad.detectors.reverse_distillation import ReverseDistillation
from variad.generation import strategies
from variad.networks import vqgan_training
from variad.networks.backbones import PDN_LAYER
from variad.networks.ddpm_training import DdpmTraining
from variad.networks.diffusion_models import SmallUNetConfig
from variad.networks.efficientnet_lite0 import STAGE_NAMES
from variad.networks.pdn import NETWORKS
from variad.study.configuration import SCHEMA, load_yaml, merged, resolve
from variad.study.references import check_predict

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


def test_keys_of_unlabelled_photographs_stand_in_their_own_recipes_alone():
    """Another recipe with a key more would be another one, whose images are made again."""
    mine = {
        "mine": {"method": "unlabelled"},
        "more": {"method": "unlabelled_generated", "vqgan": "vqgan_small", "guidance": 0},
    }
    sets = resolve({"training_sets": {**load_yaml(DEFAULT)["training_sets"], **mine}}, DEFAULT)["training_sets"]
    assert (sets["more"]["then"], sets["more"]["images_per_image"]) == ("generate", 1)
    assert sets["more"]["output"] == "decoded" and sets["mine"]["method"] == "unlabelled"
    for name in ("original", "generated", "duplicated", "augmented_sharpen"):
        assert {"then", "images_per_image"}.isdisjoint(sets[name])


def test_extractors_of_ones_own_need_not_serve_the_defaults_other_detectors():
    mine = {"lite0": {"backbone": "efficientnet_lite0", "layers": ["stage3"]}}
    assert list(resolve({"extractors": mine, **study()}, DEFAULT)["extractors"]) == ["lite0"]
    with pytest.raises(UserError, match=r"detectors.cflow.extractor: expected one of extractors \(lite0\)"):
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
        ({"scenarios": {"one_shot": {"shots": 1}}}, r"scenarios.one_shot: expected the key 'runs', found none"),
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


def photos(**more):
    return {"mine": {"adapter": "folder", "path": "photos", "categories": {"lid": {"class_name": "lid"}}, **more}}


def elpv(**more):
    return {"elpv": {"adapter": "elpv", "categories": {"mono": {"class_name": "solar cell"}}, **more}}


def recipes(**recipe):
    return {"training_sets": {**load_yaml(DEFAULT)["training_sets"], "mine": recipe}}


def detectors(method, settings=None, extractor="lite0", **more):
    entry = {"method": method, "extractor": extractor, "settings": settings or {}}
    return study(detectors=["mine"], **more) | {"detectors": {"mine": entry}, "predict": predict(detector="mine")}


def predict(**more):
    return {"scenario": "one_shot", "training_set": "generated_tuned", "detector": "patchcore", **more}


GENERATE = {"method": "generate", "vqgan": "vqgan_small"}
STRATEGIES = "none, geometric, noise, sharpen, strategy1, strategy2, autoaugment, randaugment, mixed"
STRATEGIES = str(STRATEGIES.split(", "))
ONE_SHOT = {"scenarios": {"one_shot": {"shots": 1, "runs": 2}}, **study()}
WHOLE = [
    # recipes
    (recipes(method="generate"), "training_sets.mine: expected the key 'vqgan', found none"),
    (recipes(**GENERATE), "training_sets.mine: expected the key 'encoder', found none"),
    (recipes(**GENERATE, guidance=0.1, iterations=1), "training_sets.mine: expected the key 'encoder', found none"),
    (
        recipes(**GENERATE, guidance=0, view="blur"),
        f"training_sets.mine.view: expected one of {STRATEGIES}, found 'blur'",
    ),
    (
        recipes(method="augment"),
        "training_sets.mine.strategy: expected the name of a strategy such as sharpen, found None",
    ),
    (
        recipes(method="augment", strategy="sharp"),
        f"training_sets.mine.strategy: expected one of {STRATEGIES}, found 'sharp'",
    ),
    (
        recipes(method="unlabelled_generated", then="augment"),
        "training_sets.mine.strategy: expected the name of a strategy such as sharpen, found None",
    ),
    (recipes(method="unlabelled_generated"), "training_sets.mine: expected the key 'vqgan', found none"),
    (
        recipes(method="unlabelled_generated", vqgan="vqgan_small"),
        "training_sets.mine: expected the key 'encoder', found none",
    ),
    (
        recipes(method="unlabelled_generated", then="real"),
        "training_sets.mine.then: expected one of ['augment', 'generate'], found 'real'",
    ),
    (
        recipes(method="unlabelled_generated", then="augment", strategy="sharpen", images_per_image=0),
        "training_sets.mine.images_per_image: expected more than 0, found 0",
    ),
    (recipes(method="duplicate", images_per_shot={"one_shot": math.nan}), "expected a value of type number, found nan"),
    (
        {"training_sets": {**recipes(method="none")["training_sets"], "original": {"method": "duplicate"}}},
        "training_sets.original.method: expected none, as gains are over the shots alone, found 'duplicate'",
    ),
    (
        recipes(method="real") | ONE_SHOT | study(training_sets=["original", "mine"]),
        "scenarios: expected full_shot, whose shots training set 'mine' of method real draws from, found one_shot",
    ),
    # detectors
    (
        detectors("patchcore", {"neighbors": 3}),
        "detectors.mine.settings: expected only the keys coreset_fraction, coreset_limit, distance, mask, "
        "mask_threshold, neighbourhood, neighbours, projection, top_fraction, found 'neighbors'",
    ),
    (detectors("patchcore", {"neighbours": 2.0}), "detectors.mine.settings.neighbours: .* type integer, found 2.0"),
    (detectors("patchcore", {"projection": 0}), "detectors.mine.settings.projection: expected at least 1, found 0"),
    (
        detectors("cflow", {"warmup_fraction": 1}),
        "detectors.mine.settings.warmup_fraction: expected less than 1, found 1",
    ),
    (
        detectors("cflow", {"condition_size": 6}),
        "detectors.mine.settings.condition_size: expected a multiple of 4, found 6",
    ),
    (
        detectors("reverse_distillation", {"block": "wide"}),
        "detectors.mine.settings.block: expected one of ['bottleneck', 'basic'], found 'wide'",
    ),
    (
        detectors("reverse_distillation", {"blocks": [1, 1, 1]}),
        "detectors.mine.settings.blocks: expected one number for each layer (stage3, stage5), found [1, 1, 1]",
    ),
    (
        detectors("reverse_distillation"),
        "detectors.mine.settings.blocks: expected one number for each layer (stage3, stage5), found the default's 3",
    ),
    (
        detectors("efficientad", {"patience": "long"}, "pdn_tiny"),
        "detectors.mine.settings.patience: expected a value of type ['integer', 'null'], found 'long'",
    ),
    (
        detectors("efficientad"),
        "detectors.mine.extractor: expected one for EfficientAD, with a backbone of pdn_small, pdn_medium, pdn_tiny, "
        "found 'efficientnet_lite0'",
    ),
    # extractors, encoders and weights
    (
        {"extractors": {"lite0": {"backbone": "efficientnet_lite0", "layers": ["stage8"]}}},
        "extractors.lite0.layers.0: expected one of ['stage1', 'stage2', 'stage3', 'stage4', 'stage5', 'stage6', "
        "'stage7'], found 'stage8'",
    ),
    (
        {"extractors": {"lite0": {"backbone": "efficientnet_lite0", "layers": ["stage1"], "crop": 300}}, **study()},
        "extractors.lite0.crop: expected at most the 224 pixels of its images, found 300",
    ),
    (
        detectors("patchcore")
        | {
            "extractors": {
                "lite0": {"backbone": "vit_small_patch14_dinov2", "layers": ["blocks.11"], "resolution": 256}
            }
        },
        "extractors.lite0: expected a resolution or crop that is a multiple of the patches of 14 pixels of "
        "vit_small_patch14_dinov2, found 256",
    ),
    (
        {"extractors": {"teacher": {"backbone": "pdn_small", "layers": ["features"]}}},
        "extractors.teacher.weights: expected a file of weights, found None",
    ),
    (
        {"extractors": {"lite0": {"backbone": "efficientnet_lite0", "layers": ["stage1"], "weights": "w.safetensors"}}},
        "extractors.lite0.weights: expected none, as weights of efficientnet_lite0 come from a package, found "
        "'w.safetensors'",
    ),
    ({"encoders": {"conse": {"kind": "open_clip"}}}, "encoders.conse: expected the key 'model', found none"),
    (
        {"encoders": {"conse": {"kind": "open_clip", "model": "RN50"}}},
        "encoders.conse.weights: expected a pretrained tag of open_clip or a local file, found None",
    ),
    (
        {"vqgans": {"vqgan_small": {"weights": "w.safetensors", "sha256": "B5FC"}}},
        "vqgans.vqgan_small.sha256: expected 64 hexadecimal digits in small letters, found 'B5FC'",
    ),
    (
        {"vqgans": {"vqgan_small": {"weights": "w.safetensors", "training": {"steps": "many"}}}},
        "vqgans.vqgan_small.training.steps: expected a value of type integer, found 'many'",
    ),
    (
        {"teachers": {"pdn_small": {"training": {"netwrk": "pdn_small"}}}},
        "teachers.pdn_small.training: expected only the keys .*, found 'netwrk'",
    ),
    # data sets
    (
        {"datasets": elpv(settings={"splt": "blocks"})},
        "datasets.elpv.settings: expected only the keys split, split_seed, test_defect, test_good, train_good, "
        "unlabelled_defect, unlabelled_good, unlabelled_unsure, found 'splt'",
    ),
    (
        {"datasets": photos(settings={"seed": 1})},
        "datasets.mine.settings: expected only the keys defects, good, masks_inverted, found 'seed'",
    ),
    (
        {"datasets": photos(adapter="btad", categories={"01": {"class_name": "part"}}, settings={"seed": 1})},
        "datasets.mine.settings: expected no keys, found 'seed'",
    ),
    (
        {"datasets": photos(settings={"good": [0]})},
        "datasets.mine.settings.good.0: expected a value of type string, found 0",
    ),
    ({"datasets": elpv(settings={"train_good": 0})}, "datasets.elpv.settings.train_good: expected at least 1, found 0"),
    (
        {"datasets": elpv(categories={"multi": {"class_name": "solar cell"}})},
        "datasets.elpv.categories: expected one of ['mono', 'poly'], found 'multi'",
    ),
    (
        {"datasets": photos(adapter="flowers_102")},
        'datasets.mine.categories: expected "001" to "102", found \'lid\'',
    ),
    (
        {"datasets": photos(adapter="foldr")},
        f"datasets.mine.adapter: expected one of {', '.join(ADAPTERS)}, or file.py:Class, found 'foldr'",
    ),
    (
        {"datasets": photos(adapter="nowhere.py:Mine")},
        "datasets.mine.adapter: expected one of elpv, .*, or file.py:Class, found 'nowhere.py:Mine'",
    ),
    ({"datasets": photos(path=None)}, "datasets.mine.path: expected the data set's folder, found none"),
    (
        {"datasets": elpv(path="cells")},
        "datasets.elpv.path: expected none, as images of adapter elpv come from a package, found 'cells'",
    ),
    (
        {"datasets": photos(categories={"lid": {"class_name": " "}})},
        "datasets.mine.categories.lid.class_name: expected the product's name, found ' '",
    ),
    (
        {"datasets": photos(categories={1: {"class_name": "lid"}})},
        "datasets.mine.categories: expected names that are text, found 1, a value of type int; write it in quotes",
    ),
    (
        {"datasets": photos(categories={False: {"class_name": "lid"}})},
        "datasets.mine.categories: expected names that are text, found False, a value of type bool; write it in quotes",
    ),
    # prompts
    (
        {"prompts": {"encoder": "conse", "word_source": "wordlist"}},
        "prompts.wordlist: expected a file with one word a line, found none",
    ),
    (
        {"datasets": photos(prompts={"word_source": "wordlist"})},
        "datasets.mine.prompts.wordlist: expected a file with one word a line, found none",
    ),
    (
        {"prompts": {"encoder": "conse", "word_source": "wordnet_all", "template": "a {product} with {word}"}},
        "prompts.template: expected a text with {word}, and {class_name} where it is wanted, found 'a {product} with "
        "{word}'",
    ),
    # scenarios and study
    ({"scenarios": {}}, "scenarios: expected at least 1 entries, found {}"),
    (
        {"scenarios": {"one_shot": {"shots": 0.5, "runs": 1}}},
        "scenarios.one_shot.shots: expected a whole number of at least 1, or all, found 0.5",
    ),
    (
        {"scenarios": {"one_shot": {"shots": 1, "runs": 2.0}}},
        "scenarios.one_shot.runs: expected a value of type integer, found 2.0",
    ),
    (ONE_SHOT | {"predict": predict(scenario="full_shot")}, "predict.scenario: .*(one_shot), found 'full_shot'"),
    (
        study(detectors=["patchcore", "patchcore"]),
        "study.detectors: expected every entry once, found ['patchcore', 'patchcore']",
    ),
    (
        study(contrasts=[["generated", "generated"]]),
        "study.contrasts.0: expected two different training sets, found ['generated', 'generated']",
    ),
    (
        study(keep_map_runs=[5]),
        "study.keep_map_runs: expected a run below 5, as many as patchcore has in one_shot, found [5]",
    ),
    (
        study(only={"patchcore": {"runs": 1}}, keep_map_runs=[1, 2]),
        "study.keep_map_runs: expected a run below 1, as many as patchcore has in one_shot, found [1, 2]",
    ),
    (
        study(only={"patchcore": {"datasets": ["elpv"]}}),
        "study.only: expected a detector that sees data set textures, found none",
    ),
    (
        study(averages={"all": ["elpv/mono", "elpv/brick"]}),
        "study.averages.all: expected one of .*, found 'elpv/brick'",
    ),
    (
        study(averages={"all": ["elpv/mono", "classes/gravel"]}),  # which the study does not compare
        "study.averages.all: expected one of .*, found 'classes/gravel'",
    ),
    (
        study(averages={"elpv": ["elpv/mono", "textures/brick"]}),
        "study.averages: expected a name that no data set has, found 'elpv'",
    ),
    ({1: 2}, "(top level): expected only the keys .*, found 1"),
    ({"exposure": {"sources": {"rust": ["classification"]}}}, "exposure.sources: expected one of .*, found 'rust'"),
    ({"recipes": {"detectors": ["padim"]}}, "recipes.detectors: expected one of .*, found 'padim'"),
]


@pytest.mark.parametrize(("given", "sentence"), WHOLE, ids=[sentence[:60] for _, sentence in WHOLE])
def test_the_config_is_checked_whole(given, sentence):
    with pytest.raises(UserError) as refused:
        resolve(given, DEFAULT)
    said = str(refused.value)
    start, _, end = sentence.partition(".*")
    assert len(said.splitlines()) == 1 and said.startswith("config key ") and start in said
    assert said.endswith(f"{end or start}.")


@pytest.mark.parametrize(
    ("source", "settings", "sentence"),
    [
        ("class Mine(:", {}, "expected a Python file of a detector in 'FILE', found: invalid syntax"),
        ("class Other: pass", {}, "expected a detector class Mine in 'FILE', found none."),
        (
            "class Mine:\n    def __init__(self, power=1, device='cpu'): raise SystemExit",
            {"pwr": 2},
            "expected a class whose settings are power, found 'pwr' among the settings.",
        ),
        (
            "class Mine:\n    def __init__(self, device='cpu'): pass",
            {"device": "cuda"},
            "expected a class whose settings are none, found 'device' among the settings.",
        ),
    ],
)
def test_a_detector_of_ones_own_is_looked_at_and_not_run(tmp_path, source, settings, sentence):
    file = tmp_path / "mine.py"
    file.write_text(f"raise SystemExit('run')\n{source}\n")
    with pytest.raises(UserError) as refused:
        resolve(detectors(f"{file}:Mine", settings), DEFAULT)
    said = str(refused.value).replace(str(file), "FILE")
    assert said.startswith(f"config key detectors.mine.method: {sentence}") and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "source",
    [
        "class Mine:\n    def __init__(self, power=1, device='cpu'): pass",
        "class Mine:\n    def __init__(self, *, extractor, power, device): pass",
        "class Mine:\n    def __init__(self, **settings): pass",
        "class Mine(Base): pass",
        "from elsewhere import Theirs as Mine",
        "from elsewhere import *",
        "Mine = make_detector()",
        "try:\n    from fast import Mine\nexcept ImportError:\n    class Mine: pass",
        "def Mine(power, device): pass",
    ],
)
def test_whatever_may_be_a_detector_of_ones_own_is_accepted(tmp_path, source):
    file = tmp_path / "mine.py"
    file.write_text(f"raise SystemExit('run')\n{source}\n")
    assert resolve(detectors(f"{file}:Mine", {"power": 2}), DEFAULT)["study"]["detectors"] == ["mine"]


def test_a_section_that_nobody_asks_for_need_not_fit():
    """The default's predict, exposure and recipes are of the default's scenarios, training sets and detectors."""
    config = resolve(ONE_SHOT | {"datasets": photos()}, DEFAULT)
    assert config["predict"]["scenario"] == "full_shot"
    with pytest.raises(UserError, match=r"predict.scenario: expected one of scenarios \(one_shot\), found 'full_shot'"):
        check_predict(config)
    check_predict(resolve({}, DEFAULT))


def test_a_photograph_is_looked_at_before_it_is_bad():
    predict = resolve({}, DEFAULT)["predict"]
    assert (predict["look"], predict["quantile"]) == (0.95, 0.99)
    check_predict(resolve({"predict": predict | {"look": 0.9, "quantile": 0.9}}, DEFAULT))
    with pytest.raises(UserError, match=r"predict.look: expected at most predict.quantile \(0.9\), found 0.95"):
        check_predict(resolve({"predict": predict | {"quantile": 0.9}}, DEFAULT))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, True),
        ({"run": {"gpu": 1}}, True),
        ({"run": {"seed": 3}, "plan": {"cores": 4}, "downloads": {"keep_archives": False}}, True),
        ({"study": load_yaml(DEFAULT)["study"]}, True),
        ({"datasets": photos()}, False),
        (study(), False),
        ({"image_size": 128, "run": {"seed": 0}}, False),
    ],
)
def test_the_defaults_caption_stays_with_the_default(default, given, kept):
    assert resolve(given, DEFAULT)["run"]["caption"] == (default["run"]["caption"] if kept else "")


def test_the_defaults_study_fits_data_sets_of_a_users_own():
    mine = {"mine": {"adapter": "folder", "path": "photos", "categories": {"lid": {"class_name": "lid"}}}}
    assert resolve({}, DEFAULT)["study"]["only"]["cflow"]["datasets"] == ["textures"]
    assert resolve({"datasets": mine}, DEFAULT)["study"]["only"]["cflow"]["datasets"] == []
    named = study(only={"patchcore": {"datasets": ["textures"]}})
    with pytest.raises(UserError, match=r"study\.only\.patchcore\.datasets: expected one of mine, found"):
        resolve({"datasets": mine, **named}, DEFAULT)


def test_a_config_has_the_caption_that_it_gives_itself():
    for given in ({}, study()):
        for caption in ("of my own", ""):
            assert resolve({**given, "run": {"caption": caption}}, DEFAULT)["run"]["caption"] == caption


def test_what_the_schema_knows_of_the_code_is_the_code_s():
    """Lists that the schema has so that nothing need be imported to check a config."""
    parts = load_yaml(SCHEMA)["$defs"]
    assert parts["strategy"]["enum"] == [*strategies._OWN, *strategies._TORCHVISION]
    lite0, pdn = (part["then"]["properties"] for part in parts["known_backbones"]["allOf"])
    assert lite0["layers"]["items"]["enum"] == STAGE_NAMES
    assert set(pdn["backbone"]["enum"]) == set(NETWORKS) == set(TEACHERS)
    assert pdn["layers"]["items"]["const"] == PDN_LAYER
    assert SMALLEST_OF_TEACHERS == SMALLEST_SIDE
    assert len(inspect.signature(ReverseDistillation).parameters["blocks"].default) == LEVELS
    categories = {name: part.get("enum") for name, part in parts["adapter_categories"].items()}
    known = {
        "elpv": packaged.CELLS,
        "textures": textures.CATEGORIES,
        "mvtec_loco": folders.LOCO_CATEGORIES,
        "visa": folders.VISA_CATEGORIES,
        "mvtec_ad": folders.MVTEC_AD_GROUPS,
        "btad": folders.BTAD_GROUPS,
    }
    for adapter, names in known.items():
        assert categories[adapter] == list(names)
    assert categories["package_classes"] == [*CATEGORIES, *CELLS]
    flowers = re.compile(parts["adapter_categories"]["flowers_102"]["pattern"])
    assert [number for number in range(1000) if flowers.search(f"{number:03}")] == list(range(1, 103))


@pytest.mark.parametrize(
    ("section", "training", "network"),
    [
        ("vqgans", vqgan_training.VqganTraining(), vqgan_training.SMALL),
        ("teachers", TeacherSettings(), None),
        ("diffusion_models", DdpmTraining(), SmallUNetConfig()),
    ],
)
def test_settings_of_trainings_are_the_code_s(section, training, network):
    properties = dict(load_yaml(SCHEMA)["$defs"]["training_settings"][section]["properties"])
    shape = properties.pop("network")["properties"] if network else {}
    for known, code in ((properties, training), (shape, network)):
        defaults = {} if code is None else dataclasses.asdict(code)
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
        assert {name: node["default"] for name, node in known.items()} == plain


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
