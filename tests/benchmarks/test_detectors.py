"""The benchmark of the detectors: both sides see the same, ours runs, the peer runs where it is installed."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from variad.core.precision import in_bfloat16

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PEER = Path(os.environ.get("BENCH_PYTHON", BENCHMARKS.parent / ".venv-bench" / "bin" / "python"))
DETECTORS = ("patchcore", "cflow", "reverse_distillation", "efficientad")


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_cases_name_the_layers_that_timm_and_we_have():
    import timm
    from detector_cases import BACKBONES, CASES

    from variad.networks.backbones import load_backbone

    assert tuple(CASES) == DETECTORS
    for case in CASES.values():
        name = BACKBONES[case.backbone]["timm"]
        if case.backbone == "efficientnet_lite0":
            described = timm.create_model(name, pretrained=False, features_only=True).feature_info.info
            theirs = {entry["module"]: (entry["reduction"], entry["num_chs"]) for entry in described}
            ours = load_backbone(case.backbone, case.layers)
            for layer, timms in zip(case.layers, case.timm_layers, strict=True):
                assert theirs[timms] == (ours.strides[layer], ours.channels[layer])


def test_weights_for_the_peer_give_the_same_features(tmp_path):
    import timm
    import torch
    from detector_networks import write_weights
    from safetensors.torch import load_file

    from variad.networks.backbones import load_backbone

    write_weights(tmp_path / "lite.safetensors", "efficientnet_lite0", "tf_efficientnet_lite0")
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=[2, 3]).eval()
    assert not theirs.load_state_dict(load_file(tmp_path / "lite.safetensors"), strict=False).missing_keys
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs((images - 0.5) / 0.5)
        found = load_backbone("efficientnet_lite0", ["stage3", "stage5"])(images)
    for ours, timms in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(ours, timms, rtol=1e-3, atol=1e-3)


def test_images_follow_the_seed_and_masks_belong_to_the_defects(tmp_path):
    from detector_data import image_names, read_images, read_masks, write_images

    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_images(tmp_path / name, "brick", seed, 64, 2, 5)
    first, again, other = (read_images(tmp_path / name / "train") for name in "abc")
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    names, masks = image_names(tmp_path / "a"), read_masks(tmp_path / "a")
    assert [name.startswith("defect") for name in names] == [bool(mask.any()) for mask in masks]
    assert names[0] == "good/000.png" and sum(name.startswith("good") for name in names) == 5


def test_ratios_pair_equal_categories_and_seeds(capsys, tmp_path):
    from detector_ratios import difference, pairs, print_ratios, read_rows, speed_up, write_rows

    common = {"detector": "d", "fit_cpu_s": 1, "score_cpu_s": 1, "fit_peak_gb": 1, "pixel_auroc": ""}
    rows = [
        {**common, "engine": engine, "category": "c", "seed": seed, "fit_s": fit, "score_s": 1, "image_auroc": auroc}
        for engine, seed, fit, auroc in (
            ("variad", 0, 1, 90), ("anomalib", 0, 3, 91), ("anomalib", 1, 9, 80), ("variad", 1, 1, 83),
            ("variad", 2, 1, 0),
        )
    ]  # fmt: skip
    write_rows(tmp_path / "table.csv", rows)
    both = pairs(read_rows(tmp_path / "table.csv"), "d")
    assert [(ours["seed"], peer["seed"]) for ours, peer in both] == [(0, 0), (1, 1)]
    assert speed_up(both, "fit_s", "score_s") == (2 + 5) / 2
    assert difference(both, "image_auroc") == 1 and difference(both, "pixel_auroc") is None
    print_ratios(rows)
    assert capsys.readouterr().out.startswith("d: fit + score 3.50 x, fit 6.00 x")


def test_a_failed_measurement_says_so_and_the_server_goes_on(tmp_path):
    from forked import Server

    script = tmp_path / "server.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from forked import serve\n"
        "serve(lambda: lambda request: {'half': 1 // request['of'], 'process': __import__('os').getpid()})\n",
        encoding="utf-8",
    )
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        server = Server([sys.executable, str(script)], 1, log)
        with pytest.raises(RuntimeError, match="the measurement failed; see the log"):
            server.measure({"of": 0})
        first, second = server.measure({"of": 1}), server.measure({"of": 1})
        server.close()
    assert first["half"] == 1 and first["process"] != second["process"]
    assert "ZeroDivisionError" in (tmp_path / "log").read_text(encoding="utf-8")


def run(script: str, tmp_path: Path, *options: str) -> list[dict[str, str]]:
    command = [sys.executable, str(BENCHMARKS / script), "--output", str(tmp_path / "out.csv"), *options]
    subprocess.run(command, check=True, timeout=900)
    with open(tmp_path / "out.csv", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


TINY = ("--categories", "brick", "--seeds", "1", "--train", "6", "--test", "2", "--epochs", "1")


def test_rows_name_the_precision_that_was_computed_in(has_bfloat16):
    from timing import computed_in

    assert computed_in("bfloat16", "cpu") == ("bfloat16" if has_bfloat16 else "float32")
    assert computed_in("bfloat16", "cuda") == "bfloat16" and computed_in("float32", "cpu") == "float32"


@pytest.mark.slow
@pytest.mark.parametrize("detector", DETECTORS)
def test_our_side_runs(tmp_path, detector):
    (row,) = run("detectors.py", tmp_path, "--detectors", detector, *TINY, "--log", str(tmp_path / "log"))
    assert (row["engine"], row["detector"], row["train_images"]) == ("variad", detector, "6")
    lower = detector != "patchcore" and in_bfloat16("bfloat16", "cpu")
    assert row["precision"] == ("bfloat16" if lower else "float32")
    assert all(float(row[name]) > 0 for name in ("fit_s", "score_s", "fit_peak_gb", "import_s"))
    assert 0 <= float(row["image_auroc"]) <= 100 and 0 <= float(row["pixel_auroc"]) <= 100


@pytest.mark.slow
@pytest.mark.skipif(not PEER.exists(), reason="needs the peer's environment: make bench, or BENCH_PYTHON")
@pytest.mark.parametrize("detector", DETECTORS)
def test_the_peer_runs(tmp_path, detector):
    rows = run("detectors.py", tmp_path, "--peer", str(PEER), "--detectors", detector, *TINY)
    assert sorted(row["engine"] for row in rows) == ["anomalib", "variad"]
    assert all(float(row["fit_s"]) > 0 for row in rows)


def test_the_peers_weights_of_efficientad_have_a_place_in_ours():
    from efficientad_parity import converted

    from variad.detectors.efficientad_networks import StudentAndAutoencoder
    from variad.networks.pdn import config_of

    layers = [f"student.conv{number}" for number in range(1, 5)]
    layers += [f"ae.encoder.enconv{number}" for number in range(1, 7)]
    layers += [f"ae.decoder.deconv{number}" for number in range(1, 9)]
    names = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    ours = StudentAndAutoencoder(config_of("pdn_tiny"), 64).state_dict()
    assert set(converted(dict.fromkeys(names, 0))) == set(ours)


@pytest.mark.slow
@pytest.mark.skipif(not PEER.exists(), reason="needs the peer's environment: make bench, or BENCH_PYTHON")
def test_efficientad_is_the_peers_from_the_same_weights(tmp_path):
    options = ("--categories", "brick", "--seeds", "1", "--steps", "2", "--train", "2", "--test", "3")
    exact, *coarse = run("efficientad_parity.py", tmp_path, "--peer", str(PEER), *options)
    assert exact["precision"] == "float32"
    assert [row["precision"] for row in coarse] == ["bfloat16"] * in_bfloat16("bfloat16", "cpu")
    assert float(exact["loss"]) < 1e-5 and float(exact["maps_of_same_weights"]) < 1e-5 and float(exact["maps"]) < 1e-3
    assert all(float(row["loss"]) < 1e-2 for row in coarse)


@pytest.mark.slow
def test_latency_and_the_figure_are_made(tmp_path):
    options = ("--detectors", "patchcore", "--images", "8", "--repeats", "2")
    rows = run("latency.py", tmp_path, *options)
    assert [row["backbone"] for row in rows] == ["resnet18", "efficientnet_lite0"]
    for row in rows:
        floor, total = float(row["floor_ms"]), float(row["total_ms"])
        assert floor > 0 and total > 0 and float(row["total_by_floor"]) == pytest.approx(total / floor, abs=0.01)


def test_the_figure_shows_every_detector(tmp_path):
    from detector_ratios import read_rows, write_rows
    from PIL import Image
    from plot_detectors import draw

    common = {
        "category": "c",
        "seed": 0,
        "score_s": 1,
        "fit_peak_gb": 1,
        "image_auroc": 90,
        "threads": 1,
        "machine": "m",
    }
    rows = [
        {**common, "detector": detector, "engine": engine, "fit_s": seconds, "pixel_auroc": pixel}
        for detector, pixel in zip(DETECTORS, (80, 70, "", 60), strict=True)
        for engine, seconds in (("variad", 1), ("anomalib", 5))
    ]
    write_rows(tmp_path / "table.csv", rows)
    draw(read_rows(tmp_path / "table.csv"), tmp_path / "figure.png")
    pixels = np.asarray(Image.open(tmp_path / "figure.png").convert("RGB")).reshape(-1, 3)
    for colour in ((0, 0x72, 0xB2), (0xE6, 0x9F, 0)):  # bars of both sides
        assert (pixels == colour).all(axis=1).sum() > 1000


def test_the_peer_has_the_networks_of_the_workflow():
    text = {name: (BENCHMARKS.parent / "envs" / f"{name}.lock").read_text() for name in ("bench", "requirements")}
    for package in ("torch", "torchvision", "timm"):
        pins = {
            line.split()[0] for one in text.values() for line in one.splitlines() if line.startswith(f"{package}==")
        }
        assert len(pins) == 1, json.dumps(sorted(pins))
