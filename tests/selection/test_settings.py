"""The config's sections on selection: overrides, and mistakes in one sentence."""

import copy

import pytest

from variad.core.errors import UserError
from variad.selection.settings import METHODS, check_selection, method_module, selection_categories, selection_of
from variad.study.configuration import load_yaml, resolve

DEFAULT = "config/config.yaml"
GIVEN = {
    "anomaly_sources": {"scar": {"method": "scar"}},
    "candidates": {
        "near": {"method": "neighbours", "backbone": "efficientnet_lite0", "layers": ["stage3"]},
        "ours": {"method": "detectors", "detectors": ["patchcore"]},
        "pairs": {"method": "templates", "encoder": "conse", "templates": "mvtec"},
    },
    "selection": {
        "datasets": {"elpv": ["mono"], "textures": None},
        "sources": ["scar"],
        "candidates": ["near", "ours"],
        "templates": ["pairs"],
        "default": "ours/patchcore",
        "overrides": {"textures": {"bank": 3, "benchmarks": ["one_vs_one"]}},
    },
}


def resolved(**changes):
    given = copy.deepcopy(GIVEN)
    for path, value in changes.items():
        *folders, last = path.split("__")
        section = given
        for name in folders:
            section = section[name]
        section[last] = value
    return resolve(given, DEFAULT)


def test_what_a_data_set_overrides_holds_for_it_alone():
    config = resolved()
    assert selection_of(config, "elpv")["bank"] == 10 and selection_of(config, "textures")["bank"] == 3
    assert selection_of(config, "textures")["benchmarks"] == ["one_vs_one"]
    assert "overrides" not in selection_of(config, "elpv")
    assert selection_categories(config) == [("elpv", "mono"), ("textures", "brick")]
    assert config["candidates"]["near"]["scores"] == ["pooled_1", "pooled_3", "patch_maximum", "patch_mean"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"selection__sources": ["rust"]}, "selection.sources: expected one of scar, found 'rust'"),
        ({"selection__sources": []}, "selection.sources: expected at least one source, found none"),
        ({"selection__candidates": ["far"]}, "selection.candidates: expected one of near, ours, pairs, found 'far'"),
        (
            {"selection__candidates": ["pairs"], "selection__default": None},
            "expected candidate sets of methods neighbours",
        ),
        ({"selection__templates": ["near"]}, "expected candidate sets of method templates, found 'near'"),
        ({"selection__default": "far/away"}, "selection.default: expected one of near, ours, found 'far'"),
        (
            {"selection__datasets": {"cub": None}, "selection__overrides": {}},
            "selection.datasets: expected one of .*, found 'cub'",
        ),
        (
            {"selection__datasets__elpv": ["multi"]},
            "selection.datasets.elpv: expected one of mono, poly, found 'multi'",
        ),
        ({"selection__overrides": {"cub": {}}}, "selection.overrides: expected one of elpv, textures, found 'cub'"),
        (
            {"selection__overrides__textures": {"sources": ["x"]}},
            "selection.overrides.textures.sources: expected one of",
        ),
        (
            {"candidates__pairs__templates": "imagenet"},
            "candidates.pairs.templates: expected a set of flowers, cub, mvtec",
        ),
        ({"candidates__pairs__encoder": "clip"}, "candidates.pairs.encoder: expected one of conse, found 'clip'"),
        ({"candidates__ours__detectors": ["padim"]}, "candidates.ours.detectors: expected one of .*, found 'padim'"),
        ({"candidates__near": {"method": "neighbours", "layers": ["a"]}}, "expected the key 'backbone', found none"),
        ({"candidates__near__method": "knn"}, "candidates.near.method: expected one of .*'neighbours'.*found 'knn'"),
        ({"anomaly_sources__random": {"method": "scar"}}, "anomaly_sources: expected another name .*, found 'random'"),
        ({"selection__seeds": 1}, "selection.seeds: expected at least 2, found 1"),
        (
            {"selection__default": "ours/cflow"},
            "selection.default: expected one of ours/patchcore, found 'ours/cflow'",
        ),
        (
            {"selection__default": "near/stage3/96/pooled_1"},
            "selection.default: expected one of near/stage3/224/pooled_1, .*, found 'near/stage3/96/pooled_1'",
        ),
        (
            {"anomaly_sources__scar": {"method": "blurred", "count": 11}},
            "anomaly_sources.scar.count: expected at most 10, as many as blurred makes of 10 seeds, found 11",
        ),
        (
            {"anomaly_sources__scar": {"method": "blurred", "count": 10, "resolution": 224}},
            "anomaly_sources.scar.resolution: expected less than image_size, 224 pixels, found 224",
        ),
        (
            {"anomaly_sources__scar": {"method": "style_mix", "diffusion_model": "ddpm_small", "count": 26}},
            "anomaly_sources.scar.count: expected at most 25, as many as style_mix makes of 10 seeds, found 26",
        ),
        (
            {"anomaly_sources__scar": {"method": "text_edit", "diffusion_model": "ddpm_small", "count": 41}},
            "anomaly_sources.scar.count: expected at most 40, as many as text_edit makes of 10 seeds, found 41",
        ),
        (
            {"anomaly_sources__scar": {"method": "style_mix", "diffusion_model": "adm"}},
            "anomaly_sources.scar.diffusion_model: expected one of ddpm_small, found 'adm'",
        ),
        (
            {"anomaly_sources__scar": {"method": "text_edit", "diffusion_model": "ddpm_small", "encoder": "clip"}},
            "anomaly_sources.scar.encoder: expected one of conse, found 'clip'",
        ),
        ({"candidates__near__scores": ["pooled_0"]}, "candidates.near.scores.0: expected pooled_k, patch_maximum or"),
        ({"candidates__near__layers": ["stage9"]}, "candidates.near.layers.0: expected one of .*, found 'stage9'"),
    ],
)
def test_mistakes(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        resolved(**changes)


def test_a_study_that_does_not_select_may_replace_what_the_default_selects_from():
    folder = {"mine": {"adapter": "folder", "path": "photos", "categories": {"lid": {"class_name": "lid"}}}}
    config = resolve({"datasets": folder}, DEFAULT)
    with pytest.raises(UserError, match=r"selection\.datasets: expected one of mine, found 'elpv'"):
        selection_categories(config)


def test_the_default_and_the_whole_study_are_sound():
    check_selection(resolve({}, DEFAULT))
    whole = resolve(load_yaml("config/selection.yaml"), DEFAULT)
    found = selection_categories(whole)
    numbers = {name: sum(dataset == name for dataset, _ in found) for name in ("cub", "flowers_102", "mvtec_ad")}
    assert numbers == {"cub": 200, "flowers_102": 102, "mvtec_ad": 15}
    assert selection_of(whole, "flowers_102")["seeds"] == 10 and selection_of(whole, "cub")["seeds"] == 20
    for dataset, count in (("cub", 100), ("flowers_102", 25), ("mvtec_ad", 100)):
        counts = {whole["anomaly_sources"][name]["count"] for name in selection_of(whole, dataset)["sources"]}
        assert counts - {20, 10} == {count}


def test_every_method_has_its_module():
    assert all(method_module(name).is_file() for name in METHODS)
