"""``config/paper.yaml`` and ``config/paper_ablations.yaml`` from archives on a server to every table and figure.

The rules, names and comparisons are those of the two files; only sizes are overridden: few categories, images and runs,
and the default's small networks in place of the published ones.
"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests import layouts
from tests.configs import load
from tests.downloads.server import FileServer, serving
from variad.core.tables import read_table

from .running import planned, succeed
from .test_dag import in_place
from .test_downloads import PROXIES, packed, published

pytestmark = pytest.mark.slow
Config = dict[str, Any]

CATEGORIES = {
    "mvtec_ad": ["toothbrush", "grid"],
    "btad": ["01"],
    "mvtec_loco": ["breakfast_box"],
}
SIZE = layouts.Size(train=3, good=3, defective=2, height=48, width=64)
TABLES = [4, *range(5, 19)]
FIGURES = range(11, 19)
LATER = "zipper"  # joins the study at the end
IN_PLACE_OF = {"leather": "grid", "pill": "toothbrush", "metal_nut": "grid"}  # in table 17 and figure 15


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with pytest.MonkeyPatch.context() as patch, serving() as started:
        for name in PROXIES:
            patch.delenv(name, raising=False)
        yield started


def small(config: Config, sources: Config, mvtec: list[str]) -> Config:
    """The study with sizes overridden, and the data sets at other addresses."""
    config = copy.deepcopy(config)
    config["run"] = {"caption": "Tiny study for tests: its numbers mean nothing."}
    config["image_size"] = 64
    config["scenarios"] = {
        "one_shot": {"shots": 1, "runs": 2},
        "few_shot": {"shots": 2, "runs": 1},
        "full_shot": {"shots": "all", "runs": 1},
    }
    for name, dataset in config["datasets"].items():
        kept = mvtec if name == "mvtec_ad" else CATEGORIES[name]
        dataset["categories"] = {key: value for key, value in dataset["categories"].items() if key in kept}
    config["downloads"] = {"sources": sources}
    config["encoders"] = {name: {"kind": "conse", "resolution": 64} for name in config["encoders"]}
    config["vqgans"] = {name: {"weights": "resources/vqgan_small/model.safetensors"} for name in config["vqgans"]}
    config["prompts"] |= {"word_source": "wordnet_related", "words_per_round": 4, "rounds": 2}
    for recipe in config["training_sets"].values():
        _shrink_recipe(recipe)
    for extractor in config["extractors"].values():
        _shrink_extractor(extractor)
    settings = {name: detector["settings"] for name, detector in config["detectors"].items()}
    settings["cflow"] |= {"epochs": 1, "coupling_blocks": 2, "condition_size": 16}
    settings["reverse_distillation"] |= {"epochs": 1, "block": "basic", "blocks": [1, 1, 1], "embedding_blocks": 1}
    settings["efficientad"] |= {"steps": 3, "penalty": "photographs"}
    one_shot_on_mvtec = {"datasets": ["mvtec_ad"], "scenarios": ["one_shot"]}
    trained = ("cflow", "reverse_distillation", "efficientad")
    config["study"] |= {
        "scenarios": ["one_shot"],
        "training_sets": ["original", "generated"],
        "only": dict.fromkeys(trained, one_shot_on_mvtec),
    }
    config["predict"] |= {"scenario": "one_shot", "training_set": "generated"}
    _shrink_ablations(config["ablations"], mvtec)
    return config


def _shrink_recipe(recipe: Config) -> None:
    if "images_per_shot" in recipe:
        recipe["images_per_shot"] = {"one_shot": 1, "few_shot": 0.5, "full_shot": 0.4}
    if recipe.get("iterations"):
        recipe["iterations"] = 1 if recipe["iterations"] <= 20 else 2
        recipe["cutouts"] = 1


def _shrink_extractor(extractor: Config) -> None:
    if extractor["backbone"].startswith("pdn"):
        extractor |= {"backbone": "pdn_tiny", "weights": "resources/pdn_tiny/model.safetensors", "resolution": 64}
        return
    stages = ["stage2", "stage3", "stage5"]
    extractor |= {"backbone": "efficientnet_lite0", "layers": stages[-len(extractor["layers"]) :]}
    if "crop" in extractor:
        extractor |= {"resolution": 64, "crop": 56}


def _shrink_ablations(ablations: Config, mvtec: list[str]) -> None:
    """Fewer categories and points on the axes; every comparison stays."""
    for entry in ablations["maps"].values():
        if entry["dataset"] == "mvtec_ad" and "categories" in entry:
            entry["categories"] = [name for name in entry["categories"] if name in mvtec]
    ablations["prompts"]["categories"] = ["toothbrush"]
    ablations["variance_forms"]["categories"] = ["toothbrush"]
    compared = ablations["encoders_and_strategies"]
    for place in (*compared["cells"], ablations["iterations"]):
        place["category"] = IN_PLACE_OF[place["category"]]
    compared["training_sets"] = _first(compared["training_sets"], "clip_vit_b_16", "clip_rn50x64", "strategies_1")
    strategies = ablations["strategies"]
    strategies["training_sets"] = _first(strategies["training_sets"], "strategies_1", "randaugment", "generated")
    ablations["iterations"]["training_sets"] = ablations["iterations"]["training_sets"][3:5]
    series = ablations["counts"]["training_sets"]
    ablations["counts"]["training_sets"] = {name: sets[3:4] for name, sets in series.items()}


def _first(training_sets: Config, *names: str) -> Config:
    """Some of the rows of a table, each with the first of its training sets."""
    return {name: training_sets[name][:1] for name in names}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, server: Any) -> tuple[Path, Callable[[list[str]], Path]]:
    """The folder of the finished study, and what writes its config for some categories of MVTec AD."""
    folder = in_place(tmp_path_factory.mktemp("study"))
    trees = tmp_path_factory.mktemp("trees")
    makers = {"mvtec_ad": layouts.mvtec_ad, "btad": layouts.btad, "mvtec_loco": layouts.mvtec_loco}
    endings = {"mvtec_ad": "tar.xz", "btad": "zip", "mvtec_loco": "tar.xz"}
    sources = {}
    for name, make in makers.items():
        categories = (*CATEGORIES[name], LATER) if name == "mvtec_ad" else tuple(CATEGORIES[name])
        tree = make(trees / name, categories, SIZE)
        sources[name] = published(server, name, packed(tree, endings[name]))
    whole = load("paper_ablations.yaml")

    def written(mvtec: list[str]) -> Path:
        path = folder / f"{len(mvtec)}_categories.yaml"
        path.write_text(yaml.safe_dump(small(whole, sources, mvtec), sort_keys=False))
        return path

    succeed(folder, "--cores", "2", "paper", config=written(CATEGORIES["mvtec_ad"]))
    return folder, written


@pytest.mark.parametrize("number", TABLES)
def test_every_table_is_there_with_what_is_published(study, number):
    folder = study[0] / "results/tables/paper"
    page = (folder / f"table_{number:02}.md").read_text("utf-8")
    assert f"Table {number}" in page
    assert len((folder / f"table_{number:02}.tex").read_text("utf-8")) > 200
    assert len((folder / f"table_{number:02}.csv").read_text("utf-8").splitlines()) > 2


@pytest.mark.parametrize("number", FIGURES)
def test_every_figure_is_drawn_from_a_table_that_is_kept(study, number):
    folder = study[0] / "results"
    assert len((folder / f"tables/paper/figure_{number}.csv").read_text("utf-8").splitlines()) > 1
    with Image.open(folder / f"figures/paper/figure_{number}.png") as picture:
        assert picture.width > 300 and len(set(picture.convert("L").tobytes())) > 10


def test_each_data_set_has_its_table_beside_the_published_values(study):
    folder = study[0] / "results/tables"
    summary = read_table(folder / "summary.csv", "summary").query("metric == 'image_auroc' and scenario == 'one_shot'")
    means = summary.set_index(["dataset", "category", "detector", "training_set"])["mean"]
    of_table = {
        6: ("mvtec_ad", "toothbrush", "patchcore", 78.7), 7: ("mvtec_ad", "grid", "patchcore", 64.9),
        8: ("mvtec_ad", "toothbrush", "cflow", 71.1), 11: ("mvtec_ad", "grid", "reverse_distillation", 79.7),
        12: ("mvtec_ad", "toothbrush", "efficientad", 63.4), 14: ("btad", "01", "patchcore", 92.4),
        15: ("mvtec_loco", "breakfast_box", "patchcore", 74.9),
    }  # fmt: skip
    for number, (dataset, category, detector, value) in of_table.items():
        cells = read_table(folder / f"paper/table_{number:02}.csv", "published_comparison")
        cell = cells.query(f"scenario == 'one_shot' and source == 'generated' and category == '{category}'").iloc[0]
        assert cell["published_mean"] == value
        assert cell["ours_mean"] == pytest.approx(means[dataset, category, detector, "generated"], abs=1e-3)


def test_a_second_run_has_nothing_to_do_and_a_lost_file_costs_only_itself(study):
    folder, written = study
    config = written(CATEGORIES["mvtec_ad"])
    assert planned(folder, "paper", config=config) == {}
    for lost, rule in {
        "tables/paper/table_18.tex": "compare_components",
        "tables/paper/table_15.md": "compare_published",
        "figures/paper/figure_15.png": "plot_iterations",
    }.items():
        path = folder / "results" / lost
        content = path.read_bytes()
        path.unlink()
        assert planned(folder, "paper", config=config) == {"paper": 1, rule: 1}, lost
        path.write_bytes(content)


def test_another_category_recomputes_nothing_of_the_others(study):
    folder, written = study
    config = written([*CATEGORIES["mvtec_ad"], LATER])
    said = succeed(folder, "--dry-run", "paper", config=config)
    old = {f"results/mvtec_ad/{name}/" for name in CATEGORIES["mvtec_ad"]} | {"results/btad/", "results/mvtec_loco/"}
    outputs = [line for line in said.splitlines() if line.strip().startswith("output:")]
    assert any(f"results/mvtec_ad/{LATER}/" in line for line in outputs)
    assert not [line for line in outputs if any(path in line for path in old)]
