"""Synthetic anomalies of every source, up to contact sheets, with a diffusion model of random weights."""

from dataclasses import asdict

import pytest
import torch
import yaml
from PIL import Image

from variad.anomalies.anomaly_file import read_manifest, read_normals
from variad.anomalies.inversions import read_inversions
from variad.datasets.sampling import all_image_ids, control_image_ids, read_support
from variad.networks.diffusion_models import SmallUNetConfig, build_small_unet
from variad.networks.weights import save_weights

from .running import TINY, planned, snakemake, succeed

pytestmark = pytest.mark.slow
SOURCES = {
    "mix": {"method": "style_mix", "diffusion_model": "tiny", "steps": 4, "count": 2},
    "edit": {
        "method": "text_edit", "diffusion_model": "tiny", "steps": 4, "count": 3, "strengths": [0.5, 1.0],
        "iterations": 2, "learning_steps": 2, "encoder": "conse",
    },
    "pasted": {"method": "cut_paste", "count": 5},
    "scarred": {"method": "scar", "count": 5},
    "other": {"method": "unrelated", "count": 5},
    "blurred": {"method": "blurred", "count": 4, "resolution": 16},
}  # fmt: skip


def settings(sources=SOURCES):
    config = yaml.safe_load(TINY.read_text())
    del config["datasets"]["textures"]
    config["datasets"]["elpv"]["settings"]["train_good"] = 9
    config["encoders"] = {"conse": {"kind": "conse", "resolution": 32}}
    config["diffusion_models"] = {"tiny": {"kind": "small", "weights": "tiny.safetensors"}}
    config["anomaly_sources"] = sources
    config["selection"] = {
        "datasets": {"elpv": None}, "runs": 2, "bank": 2, "seeds": 4, "validation": 3, "sources": list(sources),
        "candidates": [],
    }  # fmt: skip
    config["exposure"] = {"sources": {}}
    return config


@pytest.fixture
def folder(tmp_path):
    network = SmallUNetConfig(resolution=16, channels=(8, 16), groups=4)
    torch.manual_seed(0)
    save_weights(tmp_path / "tiny.safetensors", build_small_unet(network).state_dict(), asdict(network))
    return tmp_path


def write(folder, config):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def test_every_source(folder):
    config = write(folder, settings())
    here = "results/elpv/mono/anomalies"
    sheets = [f"{here}/{name}/contact_sheet.png" for name in SOURCES]
    jobs = planned(folder, *sheets, config=config)
    expected = {"invert_images": 1, "train_direction": 1, "make_anomalies": 6, "plot_anomalies": 6, "sample_support": 1}
    assert {name: jobs[name] for name in expected} == expected
    succeed(folder, "--cores", "1", *sheets, config=config)

    support = read_support(folder / "results/elpv/mono/support.csv")
    inversions = read_inversions(folder / here / "inversions/tiny.h5")
    assert inversions.image_ids == all_image_ids(support) and inversions.steps == 4
    for name, source in SOURCES.items():
        manifest = read_manifest(folder / here / name / "manifest.csv")
        assert manifest["run"].value_counts().to_dict() == {0: source["count"], 1: source["count"]}
        for row in manifest.itertuples():
            if name != "other":
                assert row.parent_a in support[row.run].seeds and row.parent_b in {"", *support[row.run].seeds}
        normals = read_normals(folder / here / name / "anomalies.h5")
        assert (normals is not None) == (name in ("mix", "edit"))
        if normals:
            assert normals.image_ids == control_image_ids(support) and normals.images.shape[1:] == (64, 64, 3)
        with Image.open(folder / here / name / "contact_sheet.png") as sheet:
            assert sheet.width >= 760
    assert planned(folder, *sheets, config=config) == {}

    # a change of one source makes that one anew, and of the inversions nothing
    changed = settings({**SOURCES, "mix": {**SOURCES["mix"], "gamma": 0.5}})
    again = planned(folder, *sheets, config=write(folder, changed))
    stale = {"make_anomalies": 1, "plot_anomalies": 1}
    assert {name: again.get(name) for name in expected} == {**dict.fromkeys(expected), **stale}


@pytest.mark.parametrize(
    ("name", "change", "parts"),
    [
        (
            "mix",
            {"count": 5},
            ["anomaly_sources.mix.count: expected at most 4, as many as style_mix makes of 4 seeds, found 5"],
        ),
        ("mix", {"steps": 5}, ["expected one steps for all sources of tiny", "'mix': 5", "'edit': 4"]),
        (
            "mix",
            {"diffusion_model": "large"},
            ["anomaly_sources.mix.diffusion_model: expected one of tiny, found 'large'"],
        ),
        ("edit", {"encoder": "clip"}, ["anomaly_sources.edit.encoder: expected one of conse, found 'clip'"]),
        ("pasted", {"method": "paste"}, ["anomaly_sources.pasted.method", "found 'paste'"]),
        (
            "other",
            {"images": "nowhere"},
            ["anomaly_sources.other.images: expected photographs, an archive or a folder", "found 'nowhere'"],
        ),
        ("other", {"images": "elpv"}, ["images of something other than data set elpv"]),
        (
            "blurred",
            {"count": 5},
            ["anomaly_sources.blurred.count: expected at most 4, as many as blurred makes of 4 seeds, found 5"],
        ),
    ],
)
def test_mistakes(folder, name, change, parts):
    sources = {**SOURCES, name: {**SOURCES[name], **change}}
    wanted = f"results/elpv/mono/anomalies/{name}/manifest.csv"
    done = snakemake(folder, "--cores", "1", wanted, config=write(folder, settings(sources)))
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback (most recent call last)" not in said
    assert any(all(part in line for part in parts) for line in said.splitlines()), said[-2000:]


def test_a_resolution_that_does_not_fit(folder):
    config = settings()
    config["diffusion_models"]["tiny"]["resolution"] = 17
    done = snakemake(
        folder, "--cores", "1", "results/elpv/mono/anomalies/inversions/tiny.h5", config=write(folder, config)
    )
    assert done.returncode != 0 and "expected a resolution that is a multiple of 2, found 17" in done.stderr
