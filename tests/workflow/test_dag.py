"""The whole DAG on a tiny study: what it makes, what it makes again, and that it always makes the same."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from variad.core.files import sha256
from variad.core.tables import read_table

from .running import ROOT, TINY, planned, succeed

pytestmark = pytest.mark.slow
CELL = "results/elpv/mono/one_shot/generated/patchcore"


def in_place(folder: Path) -> Path:
    """The shipped weights, where the config looks for them from a working folder."""
    shutil.copytree(ROOT / "resources", folder / "resources", ignore=shutil.ignore_patterns("downloads"))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = in_place(tmp_path_factory.mktemp("two_cores"))
    succeed(folder, "--cores", "2")
    return folder


def test_every_cell_of_the_study_is_in_the_summary(finished):
    summary = read_table(finished / "results/tables/summary.csv", "summary")
    image = summary[summary["metric"] == "image_auroc"]
    assert len(image) == 2 * 2 * 4
    assert set(summary.loc[summary["metric"] == "pixel_auroc", "dataset"]) == {"textures"}
    assert image.loc[image["training_set"] == "original", "gain"].fillna(0).eq(0).all()


def test_numbers_can_be_followed_back(finished):
    """The mean of the summary is that of the cell's metrics, and those follow from its scores."""
    summary = read_table(finished / "results/tables/summary.csv", "summary")
    row = summary.query(
        "category == 'mono' and scenario == 'one_shot' and training_set == 'generated' and metric == 'image_auroc'"
    ).iloc[0]
    metrics = read_table(finished / CELL / "metrics.csv", "metrics").query("metric == 'image_auroc'")
    assert row["mean"] == pytest.approx(100 * metrics["value"].mean(), abs=1e-4)
    scores = read_table(finished / CELL / "scores.csv", "scores").query("run == 0")
    good, bad = (scores.loc[scores["label"] == label, "score"].to_numpy() for label in (0, 1))
    wins = (bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean()
    assert metrics.loc[metrics["run"] == 0, "value"].item() == pytest.approx(wins)


def test_added_images_carry_what_made_them(finished):
    with h5py.File(finished / "results/elpv/mono/one_shot/generated/added.h5") as file:
        assert file["images"].shape == (4, 64, 64, 3)
        assert file["trace/similarity"].shape == (4, 3)
        assert file["run"][:].tolist() == [0, 0, 1, 1]
        prompts = set(file["prompt"].asstr()[:])
    shots = read_table(finished / "results/elpv/mono/shots.csv", "shots")
    assert len(shots) == 2 * (1 + 3)
    assert all(prompt.startswith("a solar cell with ") for prompt in prompts)


def test_maps_lie_in_the_evaluators_layout_at_the_original_size(finished):
    import tifffile

    manifest = read_table(finished / "results/textures/brick/test/manifest.csv", "manifest")
    maps = finished / "results/textures/brick/few_shot/original/patchcore/maps/run_0/brick"
    found = {path.relative_to(maps).with_suffix("").as_posix() for path in maps.rglob("*.tiff")}
    assert found == set(manifest["image_id"])
    first = manifest.iloc[0]
    read = tifffile.imread(maps / f"{first['image_id']}.tiff")
    assert read.dtype == np.float32 and read.shape == (first["height"], first["width"])


def test_a_second_run_has_nothing_to_do(finished):
    assert planned(finished) == {}


def test_one_core_gives_the_same_bytes(finished, tmp_path):
    folder = in_place(tmp_path / "one_core")
    succeed(folder, "--cores", "1")
    for name in ("summary.csv", "elpv/mono.csv", "textures/brick.csv", "elpv/mono.bootstrap.h5"):
        assert (folder / "results/tables" / name).read_bytes() == (finished / "results/tables" / name).read_bytes()


def test_a_prompt_setting_of_one_data_set_touches_only_what_depends_on_it(finished, tmp_path):
    config = yaml.safe_load(TINY.read_text())
    config["datasets"]["textures"]["prompts"]["words_per_round"] = 5
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(config, sort_keys=False))
    jobs = planned(finished, config=changed)
    assert jobs["list_candidates"] == jobs["embed_candidates"] == 1
    assert (
        jobs["score_prompts"] == jobs["build_training_set"] == jobs["train_detector"] == 2
    )  # scenarios of `generated`
    assert jobs["build_gallery_page"] == jobs["aggregate_category"] == 1
    assert {"index_category", "pack_category", "extract_features", "build_conse"}.isdisjoint(jobs)


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "a map gone"])
def test_nothing_but_a_run_changes_the_folder(finished, lost, tmp_path):
    """And a dry run announces that the map will be made again, by a run that needs it."""
    folder, maps = tmp_path, f"{CELL}/maps/run_0/mono"
    shutil.copytree(finished, folder, dirs_exist_ok=True)  # with all times
    if lost:
        next((folder / maps).rglob("*.tiff")).unlink()
    before, whole = listing(folder), listing(finished)
    assert len(before) == len(whole) - lost > 1000
    jobs, of_predict = planned(folder), planned(folder, f"{CELL}/predictions.csv")
    for arguments in (["--lint"], ["--summary"], ["--dag"], ["--list-changes", "params"]):
        succeed(folder, *arguments)
    assert listing(folder) == before
    assert jobs.get("score_test_set", 0) == lost and "train_detector" not in jobs
    assert "predict_images" in of_predict and "score_test_set" not in of_predict
    if lost:
        succeed(folder, "--cores", "2")
        assert planned(folder) == {}
        after = {name: row for name, row in listing(folder).items() if name.startswith(maps)}
        assert after and {name: row[-1] for name, row in after.items()} == {name: whole[name][-1] for name in after}
        assert listing(folder).keys() == whole.keys()


def listing(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Size, time and hash of everything in a folder, but for what Snakemake notes of its own call."""
    own = {f".snakemake/{name}" for name in ("log", "iocache", "locks")}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: (path.stat().st_size, path.stat().st_mtime_ns, sha256(path) if path.is_file() else "")
        for name, path in found.items()
        if not own & {name, *map(str, Path(name).parents)} and name != ".snakemake"
    }


@pytest.mark.parametrize(
    ("lost", "rule"),
    [
        (f"{CELL}/scores.csv", "score_test_set"),
        (f"{CELL}/model/run_1.safetensors", "train_detector"),
        (f"{CELL}/maps/run_0/mono/test/good", "score_test_set"),
        ("results/gallery/elpv/mono/index.html", "build_gallery_page"),
        (f"{CELL}/metrics.csv", "score_test_set"),
        (f"{CELL}/heatmaps.png", "plot_heatmaps_patchcore"),
        ("results/elpv/mono/one_shot/generated/contact_sheet.png", "plot_contact_sheet"),
        ("results/tables/summary.csv", "aggregate_metrics"),
    ],
)
def test_a_lost_file_is_made_again(finished, lost, rule):
    path = finished / lost
    before = read_table(finished / "results/tables/summary.csv", "summary")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    jobs = planned(finished)
    assert jobs[rule] == 1
    assert {"index_category", "build_training_set", "extract_features", "score_prompts"}.isdisjoint(jobs)
    succeed(finished, "--cores", "2")
    assert path.exists()
    pd.testing.assert_frame_equal(read_table(finished / "results/tables/summary.csv", "summary"), before)
    assert planned(finished) == {}


def test_another_category_recomputes_nothing_of_the_others(finished, tmp_path):
    config = yaml.safe_load(TINY.read_text())
    config["datasets"]["textures"]["categories"]["grass"] = {"class_name": "grass", "group": "texture"}
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(config, sort_keys=False))
    said = succeed(finished, "--dry-run", config=changed)
    touched = {line.split("category=")[1].split(",")[0] for line in said.splitlines() if "category=" in line}
    assert touched == {"grass"}
    assert "unpack_dataset" not in planned(finished, config=changed)


def test_another_training_set_trains_its_own_cells_and_draws_its_scenarios_heat_maps_anew(finished, tmp_path):
    config = yaml.safe_load(TINY.read_text())
    config["training_sets"]["duplicated"] = {"method": "duplicate", "images_per_shot": {"one_shot": 1, "few_shot": 1}}
    config["study"]["training_sets"].append("duplicated")
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(config, sort_keys=False))
    jobs = planned(finished, config=changed)
    # two categories, two scenarios
    assert jobs["build_training_set"] == jobs["train_detector"] == jobs["score_test_set"] == 4
    assert jobs["plot_heatmaps_patchcore"] == 4


def test_a_scenario_may_see_fewer_training_sets(finished, tmp_path):
    """What a scenario does not see is not made in it, and neither are its heat maps."""
    config = yaml.safe_load(TINY.read_text())
    config["study"]["only"] = {"few_shot": {"training_sets": ["original"]}}
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(config, sort_keys=False))
    jobs = planned(finished, "--forceall", config=changed)
    sets, categories = len(config["study"]["training_sets"]), 2
    assert jobs["build_training_set"] == jobs["score_test_set"] == categories * (sets + 1)
    assert jobs["plot_heatmaps_patchcore"] == jobs["plot_heatmaps_patchcore_few_shot"] == categories


def test_exported_images_are_shots_and_accepted_images(finished):
    succeed(finished, "--cores", "2", "results/elpv/mono/few_shot/generated/export/contents.txt")
    folder = finished / "results/elpv/mono/few_shot/generated/export/run_0/mono/train/good"
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 6 and sum(name.startswith("added_") for name in names) == 3
