"""Vision transformers in a study: those of config/modern.yaml, on random weights and small images."""

import pytest
import torch
import yaml
from safetensors.torch import save_file

from variad.core.tables import read_table

from .running import ROOT, TINY, succeed

timm = pytest.importorskip("timm")

pytestmark = pytest.mark.slow
DETECTORS = ("anomaly_dino", "anomaly_dino_masked", "anomaly_dino_registers", "anomaly_dino_v3", "patchcore_dinov2")


@pytest.fixture
def study(tmp_path):
    """The tiny study with extractors and detectors of config/modern.yaml, at the size of four patches a side."""
    modern = yaml.safe_load((ROOT / "config/modern.yaml").read_text())
    config = yaml.safe_load(TINY.read_text()) | {"image_size": 64}
    config["detectors"] = {name: modern["detectors"][name] for name in DETECTORS}
    config["extractors"] = {}
    for name in ("dinov2", "dinov2_registers", "dinov3"):
        entry = modern["extractors"][name]
        torch.manual_seed(0)
        network = timm.create_model(entry["backbone"], pretrained=False)
        save_file(network.state_dict(), tmp_path / f"{name}.safetensors")
        side = 64 if name == "dinov3" else 56
        config["extractors"][name] = {**entry, "weights": f"{name}.safetensors", "resolution": side}
    config["datasets"] = {"textures": config["datasets"]["textures"] | {"settings": {"train_good": 4, "test_good": 4}}}
    config["training_sets"] = {
        "original": {"method": "none"},
        "duplicated": {"method": "duplicate", "images_per_shot": {"one_shot": 2}},
    }
    config["scenarios"] = {"one_shot": {"shots": 1, "runs": 2}}
    config["study"] = {**config["study"], "scenarios": ["one_shot"], "detectors": list(DETECTORS)}
    config["study"]["training_sets"] = ["original", "duplicated"]
    config["predict"] = {"scenario": "one_shot", "training_set": "original", "detector": "anomaly_dino"}
    path = tmp_path / "modern.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def test_a_study_on_vision_transformers(study, tmp_path):
    succeed(tmp_path, "--cores", "1", "results/tables/summary.csv", config=study)
    table = read_table(tmp_path / "results/tables/summary.csv", "summary").query("metric == 'image_auroc'")
    rows = table.set_index(["detector", "training_set"])
    assert set(table["detector"]) == set(DETECTORS)
    assert rows["mean"].between(0, 100).all()
    for detector in DETECTORS[:4]:  # a bank of every patch has nothing new from copies
        assert rows.loc[(detector, "duplicated"), "gain"] == 0


def test_the_plan_of_the_config_says_what_was_never_measured(tmp_path):
    one = "plan={targets: [results/tables/mvtec_ad/screw.csv]}"  # of fifteen categories
    succeed(tmp_path, "--cores", "1", "plan", "--config", one, config=ROOT / "config/modern.yaml")
    page = (tmp_path / "results/tables/plan.md").read_text()
    assert "jobs of extract_features: never measured: vit_small_patch14_dinov2.lvd142m at 448 px" in page
    assert "jobs whose size is not known" not in page  # grids of the networks are known
