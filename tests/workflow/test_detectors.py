"""The four detectors side by side, from features to the summary, to predictions and to bundles."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import yaml

from variad.core.tables import read_table
from variad.datasets.packaged import Elpv
from variad.inspect.bundle import read_bundle

from .running import ROOT, TINY, planned, succeed

pytestmark = pytest.mark.slow
# in a process of its own, with one thread as jobs have: the last digit of a sum depends on their number
INSPECT = """
import sys
import numpy as np
from variad.inspect.inspector import Inspector
bundle, batch, target, *photographs = sys.argv[1:]
inspector = Inspector.open(bundle)
found = list(inspector.inspect_many(photographs, int(batch)))
np.savez(target, scores=[one.score for one in found], maps=np.stack([inspector.anomaly_map(one) for one in found]))
"""
TRAINED = ["cflow", "reverse_distillation", "efficientad"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """One category with two training sets, and detectors with budgets of a second; the trained ones see one run."""
    folder = tmp_path_factory.mktemp("detectors")
    default, config = (yaml.safe_load(path.read_text()) for path in (ROOT / "config/config.yaml", TINY))
    del config["datasets"]["textures"]
    config["image_size"] = 96
    config["training_sets"]["duplicated"] = {"method": "duplicate", "images_per_shot": {"one_shot": 2}}
    config["detectors"] = default["detectors"]
    config["detectors"]["cflow"]["settings"]["epochs"] = 2
    config["detectors"]["reverse_distillation"]["settings"]["epochs"] = 2
    config["detectors"]["efficientad"]["settings"]["steps"] = 5
    config["study"] |= {"scenarios": ["one_shot"], "training_sets": ["original", "duplicated"]}
    config["study"] |= {"detectors": ["patchcore", *TRAINED], "only": {name: {"runs": 1} for name in TRAINED}}
    config["study"]["only"]["cflow"]["training_sets"] = ["original"]
    config["predict"] = {"scenario": "one_shot", "training_set": "duplicated", "detector": "efficientad"}
    path = folder / "detectors.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "resources").symlink_to(ROOT / "resources")
    succeed(folder, "--cores", "2", config=path)
    return folder, path


def test_every_detector_stands_in_the_summary(study):
    folder, _ = study
    table = read_table(folder / "results/tables/summary.csv", "summary").query("metric == 'image_auroc'")
    rows = table.set_index(["detector", "training_set"])
    sets = {name: ["original", "duplicated"] for name in ("patchcore", "reverse_distillation", "efficientad")}
    assert set(rows.index) == {(name, each) for name, these in sets.items() for each in these} | {("cflow", "original")}
    assert rows["runs"].to_dict() == {key: 2 if key[0] == "patchcore" else 1 for key in rows.index}
    assert rows.loc[("patchcore", "duplicated"), "gain"] == 0
    assert rows["mean"].between(0, 100).all()


def test_nothing_is_left_to_do_and_a_lost_model_is_trained_again(study):
    folder, path = study
    assert planned(folder, config=path) == {}
    model = folder / "results/elpv/mono/one_shot/original/reverse_distillation/model/run_0.safetensors"
    before = model.read_bytes()
    model.unlink()
    jobs = planned(folder, config=path)
    assert jobs["train_detector"] == jobs["score_test_set"] == 1 and "extract_features" not in jobs
    succeed(folder, "--cores", "2", config=path)
    assert model.read_bytes() == before


def test_predictions_come_from_a_detector_that_looks_at_images(study):
    folder, path = study
    jobs = planned(folder, "results/elpv/mono/one_shot/duplicated/efficientad/predictions.csv", config=path)
    assert jobs["predict_images"] == jobs["score_held_out"] == 1


def test_a_training_set_that_no_detector_sees_is_not_made(tmp_path):
    """Monocrystalline cells are seen with the shots alone, by a detector of their own."""
    config = yaml.safe_load(TINY.read_text())
    entry = yaml.safe_load((ROOT / "config/config.yaml").read_text())["detectors"]["patchcore"]
    cells = config["datasets"]["elpv"]
    poly = {**cells, "categories": {"poly": {"class_name": "solar cell"}}}
    config["datasets"] = {"mono": cells, "poly": poly}
    config["training_sets"]["duplicated"] = {"method": "duplicate", "images_per_shot": {"one_shot": 2}}
    config["detectors"] = {"patchcore": entry, "again": entry}
    config["study"] |= {"scenarios": ["one_shot"], "training_sets": ["original", "duplicated"]}
    config["study"]["detectors"] = ["patchcore", "again"]
    config["study"]["only"] = {
        "patchcore": {"datasets": ["poly"]},
        "again": {"datasets": ["mono"], "training_sets": ["original"]},
    }
    config["predict"] = {"scenario": "one_shot", "training_set": "original", "detector": "patchcore"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    jobs = planned(tmp_path, config=path)
    assert jobs["build_training_set"] == jobs["train_detector"] == jobs["plot_contact_sheet"] == 3


@pytest.mark.parametrize("detector", ["patchcore", *TRAINED])
def test_a_bundle_scores_as_the_workflow_does_bit_for_bit(study, tmp_path, detector):
    folder, path = study
    cell = folder / f"results/elpv/mono/one_shot/original/{detector}"
    bundle = cell / "mono.variad"
    succeed(folder, "--cores", "2", bundle.relative_to(folder), config=path)
    manifest = read_table(folder / "results/elpv/mono/test/manifest.csv", "manifest")
    scores = read_table(cell / "scores.csv", "scores").query("run == 0").set_index("image_id")["score"]
    photographs = [str(Elpv().root / name) for name in manifest["image_path"]]
    for batch in ("1", "16"):
        command = [sys.executable, "-c", INSPECT, str(bundle), batch, str(tmp_path / "found.npz"), *photographs]
        library = str(ROOT / "workflow/lib")
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": library, "OMP_NUM_THREADS": "1"})
        found = np.load(tmp_path / "found.npz")
        assert list(found["scores"]) == list(scores[manifest["image_id"]])
        for name, anomaly_map in zip(manifest["image_id"], found["maps"], strict=True):
            kept = tifffile.imread(cell / f"maps/run_0/mono/{name}.tiff")
            np.testing.assert_array_equal(anomaly_map, kept)


def test_a_bundle_says_what_it_was_made_from(study):
    folder, path = study
    cell = folder / "results/elpv/mono/one_shot/duplicated/efficientad"
    succeed(folder, "--cores", "2", "bundle", config=path)
    bundle = read_bundle(cell / "mono.variad").bundle
    told = bundle.provenance
    assert told["cell"] == {
        "dataset": "elpv",
        "category": "mono",
        "scenario": "one_shot",
        "training_set": "duplicated",
        "detector": "efficientad",
        "run": 0,
    }
    manifest = read_table(folder / "results/elpv/mono/train/manifest.csv", "manifest").set_index("image_id")
    shots = read_table(folder / "results/elpv/mono/shots.csv", "shots").query("scenario == 'one_shot' and run == 0")
    (shot,) = shots["image_id"]
    photograph = Elpv().root / manifest.loc[shot, "image_path"]
    assert told["training_images"] == [{"image_id": shot, "sha256": manifest.loc[shot, "sha256"]}]
    assert manifest.loc[shot, "sha256"] == hashlib.sha256(photograph.read_bytes()).hexdigest()
    assert told["generated_images"] == 2
    weights = ROOT / "resources/pdn_tiny/model.safetensors"
    hashes = {
        "weights": weights,
        "model": cell / "model/run_0.safetensors",
        "held_out_scores": cell / "held_out_scores.csv",
    }
    assert told["files"] == {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in hashes.items()}
    assert set(told["packages"]) >= {"torch", "numpy", "pillow"} and len(told["config_sha256"]) == 64
    assert bundle.extractor.weights is None and str(ROOT) not in str(bundle) and str(folder) not in str(bundle)
    assert [line.split(":")[0] for line in bundle.licences] == ["weights of pdn_tiny", "photographs (elpv)"]
