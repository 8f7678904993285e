"""Target `ablations`: image quality, pictures side by side and differences of AUROC, apart from the main job."""

import pytest
import yaml
from PIL import Image

from variad.core.tables import read_table
from variad.downloads.catalogue import ALEXNET_FILE
from variad.report.contact_sheet import SIDE_BY_SIDE

from .running import TINY, planned, succeed

pytestmark = pytest.mark.slow
MEASURES = {"measure_image_quality", "measure_real_spread", "aggregate_image_quality"}
RULES = MEASURES | {"compare_training_sets", "plot_training_sets"}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """One category, two training sets that need no generator, and a cache of torch.hub that is empty."""
    config = yaml.safe_load(TINY.read_text())
    del config["datasets"]["textures"]
    config["training_sets"]["duplicated"] = {"method": "duplicate", "images_per_shot": {"one_shot": 2}}
    config["study"] |= {"scenarios": ["one_shot"], "training_sets": ["original", "duplicated", "augmented_sharpen"]}
    config["study"]["contrasts"] = [["augmented_sharpen", "duplicated"]]
    config["predict"] |= {"scenario": "one_shot", "training_set": "augmented_sharpen"}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return path


def test_ablations_of_a_small_study(small, tmp_path):
    assert RULES.isdisjoint(planned(tmp_path, config=small))
    succeed(tmp_path, "--cores", "1", "ablations", "results/tables/summary.csv", config=small)

    table = read_table(tmp_path / "results/tables/image_quality.csv", "image_quality_summary").set_index("training_set")
    assert table.index.tolist() == ["duplicated", "augmented_sharpen"]
    duplicated, sharpened = table.loc["duplicated"], table.loc["augmented_sharpen"]
    assert (duplicated["ssim_mean"], duplicated["identical"], duplicated["novelty_mean"]) == (1, 1, 0)
    assert 0 < sharpened["ssim_mean"] < 1 and sharpened["identical"] == 0 and sharpened["novelty_mean"] > 0
    assert table["lpips_mean"].isna().all()

    folder = tmp_path / "results/elpv/mono/one_shot/duplicated"
    images = read_table(folder / "image_quality.csv", "image_quality")
    shots = read_table(tmp_path / "results/elpv/mono/shots.csv", "shots").query("scenario == 'one_shot'")
    assert images["parent"].tolist() == [name for name in shots["image_id"] for _ in range(2)]
    assert images["run"].tolist() == [0, 0, 1, 1] and images["diversity"].tolist() == [0] * 4

    means = read_table(tmp_path / "results/tables/summary.csv", "summary").set_index(["training_set", "metric"])["mean"]
    contrast = read_table(tmp_path / "results/tables/contrasts.csv", "contrasts").set_index("metric").loc["image_auroc"]
    difference = means["augmented_sharpen", "image_auroc"] - means["duplicated", "image_auroc"]
    assert contrast["difference"] == pytest.approx(difference, abs=2e-4)
    assert contrast["low"] <= contrast["difference"] <= contrast["high"]
    with Image.open(tmp_path / "results/figures/training_sets/elpv/mono.one_shot.png") as figure:
        assert figure.height == SIDE_BY_SIDE.at(2, 0)[1] + SIDE_BY_SIDE.gap  # the two sets that add images

    assert planned(tmp_path, "ablations", config=small) == {}
    weights = tmp_path / "resources/downloads" / ALEXNET_FILE
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.touch()
    assert planned(tmp_path, "ablations", config=small)["measure_image_quality"] == 2
