"""Targets `selection` (its recipes) and `exposure` on a small study whose sources need no diffusion model."""

import pytest
import yaml

from variad.core.tables import read_table

from .running import ROOT, TINY, planned, succeed

pytestmark = pytest.mark.slow
FILES = ["results/tables/recipes.md", "results/gallery/exposure.html"]


@pytest.fixture
def small(tmp_path):
    """One category, twelve training images, two training sets that need no generator."""
    config = yaml.safe_load(TINY.read_text())
    del config["datasets"]["textures"]
    config["datasets"]["elpv"]["settings"] = {"train_good": 12, "test_good": 5, "test_defect": 5}
    config["study"] |= {"scenarios": ["one_shot"], "training_sets": ["original", "augmented_sharpen"]}
    config["predict"] |= {"scenario": "one_shot", "training_set": "augmented_sharpen"}
    config["anomaly_sources"] = {
        "cut_paste": {"method": "cut_paste", "count": 6},
        "blurred": {"method": "blurred", "count": 4, "resolution": 16},
    }
    config["candidates"] = {}
    config["selection"] = {
        "datasets": {"elpv": ["mono"]},
        "runs": 2,
        "bank": 3,
        "seeds": 4,
        "validation": 5,
        "sources": ["cut_paste", "blurred"],
        "candidates": [],
    }
    config["recipes"] = {"detectors": ["patchcore"], "scenarios": ["one_shot"], "default": "augmented_sharpen"}
    config["exposure"] = {
        "backbone": "efficientnet_lite0",
        "trained_blocks": 1,
        "steps": 3,
        "batch_size": 4,
        "sources": {"cut_paste": ["classification"], "blurred": ["classification"]},
        "added": "generated_tuned",
        "added_per_image": 0.5,
    }
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def test_recipes_and_exposure_of_a_small_study(small, tmp_path):
    succeed(tmp_path, "--cores", "1", *FILES, config=small)
    said = succeed(tmp_path, "--cores", "1", "exposure", config=small)
    assert said.rstrip().endswith(f"Networks trained on synthetic anomalies, beside others: {FILES[1]}")

    scores = read_table(tmp_path / "results/elpv/mono/exposure/scores.csv", "exposure_scores")
    networks = {"frozen", "rotation", "relabelled"}
    assert set(scores["objective"]) == networks | {"classification"}
    assert set(scores["support"]) == {"support", "with generated_tuned", "with views"} and set(scores["run"]) == {0, 1}
    assert scores.groupby(["run", "source", "objective", "support"]).size().unique().tolist() == [10]
    table = read_table(tmp_path / "results/tables/exposure.csv", "exposure")
    assert len(table) == 3 * (3 + 2) and table["runs"].eq(2).all()

    folder = tmp_path / "results/elpv/mono/recipes/patchcore"
    synthetic = read_table(folder / "synthetic.csv", "recipe_scores")
    shots = read_table(tmp_path / "results/elpv/mono/shots.csv", "shots").query("scenario == 'one_shot'")
    for run, names in shots.groupby("run")["image_id"]:
        assert not synthetic.loc[synthetic["run"] == run, "image_id"].isin(set(names)).any()
    choices = read_table(folder / "choices.csv", "recipe_choices")
    assert choices.groupby(["run", "source"])["weight"].sum().eq(1).all()
    recipes = read_table(tmp_path / "results/tables/recipes.csv", "recipes").set_index("source")
    assert recipes.index.tolist() == ["cut_paste", "blurred", "default", "random"]
    assert (recipes["oracle"] - recipes["selected"]).to_list() == pytest.approx(recipes["regret"].to_list(), abs=2e-4)

    assert "Outlier exposure" in (tmp_path / "results/gallery/exposure.html").read_text("utf-8")
    assert "exposure.html" in (tmp_path / "results/gallery/exposure.js").read_text("utf-8")
    assert planned(tmp_path, *FILES, config=small) == {}
