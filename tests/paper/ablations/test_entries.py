"""Which cells the entries of ``ablations`` ask for, and what a wrong entry is told."""

from pathlib import Path

import pytest
import yaml

from variad.core.errors import UserError
from variad.paper.ablation_entries import CellName, all_cells, cells_of, entries, places, training_sets_of
from variad.study.configuration import resolve

ROOT = Path(__file__).parents[3]
TINY = ROOT / "tests/workflow/tiny_ablations.yaml"
DATASETS = {"d": {"categories": {"a": {}, "b": {}}}}


def configured(**changes):
    """The tiny config with values at dotted keys changed, resolved."""
    config = yaml.safe_load(TINY.read_text())
    for key, value in changes.items():
        *path, last = key.split("__")
        section = config
        for part in path:
            section = section[part]
        section[last] = value
    return resolve(config, ROOT / "config/config.yaml")


def test_a_cell_knows_its_folder():
    cell = CellName("d", "a", "one_shot", "generated", "patchcore")
    assert cell.folder == "results/d/a/one_shot/generated/patchcore"


def test_places_of_every_kind_of_entry():
    assert places({"cells": [{"dataset": "d", "category": "b", "detector": "x"}]}, DATASETS) == [("d", "b", "x")]
    assert places({"dataset": "d", "category": "a", "detector": "x"}, DATASETS) == [("d", "a", "x")]
    assert places({"dataset": "d", "categories": None, "detector": "x"}, DATASETS) == [("d", "a", "x"), ("d", "b", "x")]
    assert places({"dataset": "d", "categories": ["b"], "detectors": ["x", "y"]}, DATASETS) == [
        ("d", "b", "x"),
        ("d", "b", "y"),
    ]


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ({"training_set": "g"}, ["g"]),
        ({"training_sets": ["g", "h"]}, ["g", "h"]),
        ({"training_sets": {"one": "g", "two": "h"}}, ["g", "h"]),
        ({"training_sets": {"one": ["g", "original"], "two": ["h", "g"]}}, ["g", "h"]),
        ({}, []),
    ],
)
def test_training_sets_come_once_and_without_the_baseline(entry, names):
    assert training_sets_of(entry) == names


def test_the_baseline_comes_first_at_every_place_and_scenario():
    entry = {"dataset": "d", "scenarios": ["one_shot", "few_shot"], "detectors": ["x"], "training_set": "g"}
    found = [(cell.category, cell.scenario, cell.training_set) for cell in cells_of(entry, DATASETS)]
    assert found == [
        (category, scenario, training_set)
        for category in ("a", "b")
        for scenario in ("one_shot", "few_shot")
        for training_set in ("original", "g")
    ]


def test_cells_that_several_entries_share_come_once_and_prompts_need_none():
    section = yaml.safe_load(TINY.read_text())["ablations"]
    datasets = yaml.safe_load(TINY.read_text())["datasets"]
    cells = all_cells(section, datasets)
    sets = {(cell.category, cell.training_set) for cell in cells}
    # toothbrush: the shots, the recipe, three forms, two controls; grid: the shots and the recipe
    assert len(cells) == len(sets) == 9
    assert [name for name, _ in entries(section)][5:8] == ["maps.figure_11", "maps.figure_13", "maps.figure_14"]
    assert all_cells({"prompts": section["prompts"], "tsne": section["tsne"]}, datasets) == []


def test_the_papers_overlay_is_a_study():
    config = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    for name, section in yaml.safe_load((ROOT / "config/paper_ablations.yaml").read_text()).items():
        config[name] = {**config.get(name, {}), **section}
    resolved = resolve(config, ROOT / "config/config.yaml")
    assert [name for name, _ in entries(resolved["ablations"])] == [
        "prompts",
        "variance_forms",
        "encoders_and_strategies",
        "strategies",
        "tsne",
        "maps.figure_11",
        "maps.figure_13",
        "maps.figure_14",
        "iterations",
        "lowest_gains",
        "counts",
    ]
    steps = {name: resolved["training_sets"][name] for name in resolved["ablations"]["iterations"]["training_sets"]}
    assert [recipe["iterations"] for recipe in steps.values()] == [0, 5, 10, 20, 30, 40]
    same = ("encoder", "vqgan", "form", "view", "noise_scale", "cutouts", "images_per_shot", "output")
    paper = resolved["training_sets"]["generated"]
    assert all(recipe[key] == paper[key] for recipe in steps.values() for key in same)
    numbers = resolved["ablations"]["counts"]["training_sets"]
    counts = [
        [resolved["training_sets"][name]["images_per_shot"]["one_shot"] for name in names] for names in numbers.values()
    ]
    assert counts == [[1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 59], [1, 2, 4, 8, 16, 32, 64]]
    views = {name: resolved["training_sets"][name]["view"] for name in resolved["training_sets"] if "_mu" in name}
    assert set(views.values()) == {"none"} and len(views) == 3


def test_a_study_without_ablations_has_none():
    assert resolve({}, ROOT / "config/config.yaml")["ablations"] == {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"ablations__tsne__training_set": "imaginary"},
            "config key ablations.tsne.training_sets: expected one of original, generated, .*, found 'imaginary'.",
        ),
        (
            {"ablations__maps__figure_11__categories": ["bottle"]},
            "config key ablations.maps.figure_11.category: expected one of toothbrush, grid, found 'bottle'.",
        ),
        (
            {"ablations__iterations__detector": "guesswork"},
            "config key ablations.iterations.detector: expected one of patchcore, .*, found 'guesswork'.",
        ),
        (
            {"ablations__counts__cells": [{"dataset": "elpv", "category": "mono", "detector": "patchcore"}]},
            "config key ablations.counts.dataset: expected one of mvtec_ad, found 'elpv'.",
        ),
        (
            {"ablations__prompts__scenario": "few_shot"},
            "config key ablations.prompts.scenario: expected one of one_shot, full_shot, found 'few_shot'.",
        ),
        (
            {"ablations__prompts__encoder": "clip"},
            "config key ablations.prompts.encoder: expected one of conse, found 'clip'.",
        ),
        (
            {"ablations__tsne__run": 2},
            "config key ablations.tsne.run: expected a run below 2, found 2.",
        ),
        (
            {"ablations__tsne__training_set": "original"},
            "config key ablations.tsne.training_set: expected another one than 'original', found no other.",
        ),
        (
            {"ablations__iterations__training_sets": ["duplicated"]},
            "config key ablations.iterations.training_sets: .*, found 'duplicated' of method duplicate.",
        ),
        (
            {"ablations__variance_forms__training_sets__mu": "generated_mu_sigma"},
            "config key ablations.variance_forms.training_sets: expected another one for each form, found .*.",
        ),
        (
            {"study__keep_map_runs": []},
            "config key study.keep_map_runs: expected a run, whose maps ablations.maps.figure_11 shows, found none.",
        ),
        (
            {"study__keep_map_runs": [2, 7]},
            "config key study.keep_map_runs: expected a run, whose maps ablations.maps.figure_11 shows, found 2, 7.",
        ),
        (
            {"ablations__guesses": {}},
            "config key ablations: expected only the keys .*, found 'guesses'.",
        ),
        (
            {"extractors": {"other": {"backbone": "efficientnet_lite0", "layers": ["stage3"]}}},
            "config key detectors.patchcore.extractor: expected one of .*, found 'lite0'.",
        ),
    ],
)
def test_mistakes_end_in_one_sentence(change, sentence):
    with pytest.raises(UserError, match=f"^{sentence}$"):
        configured(**change)


def test_figures_of_maps_cannot_take_a_file_of_another_figure():
    entry = {"dataset": "mvtec_ad", "scenario": "one_shot", "detector": "patchcore", "training_set": "generated"}
    with pytest.raises(UserError, match=r"config key ablations\.maps"):
        configured(ablations__maps={"figure_18": entry})
