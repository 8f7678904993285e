"""A user's mistakes: one clear sentence, a non-zero exit, and nothing half-written."""

import os
import re
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from variad.core.files import checksums_path

from .running import TINY, snakemake, succeed
from .test_dag import in_place

pytestmark = pytest.mark.slow


def photos(folder, count=4):
    for index in range(count):
        for part in ("train/good", "test/good", "test/dent"):
            path = folder / "lid" / part / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((48, 48), 100 + index, np.uint8)).save(path)
    return folder


LID = {"lid": {"class_name": "lid"}}


def study(**changes):
    config = yaml.safe_load(TINY.read_text())
    config["datasets"] = {"mine": {"adapter": "folder", "path": "photos", "categories": dict(LID)}}
    for key, value in changes.items():
        section, _, rest = key.partition("__")
        if rest:
            config.setdefault(section, {})
            config[section][rest] = value
        else:
            config[section] = value
    return config


def attempt(tmp_path, config, *arguments):
    folder = tmp_path / "work"
    if not folder.exists():
        in_place(folder)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    done = snakemake(folder, "--cores", "1", *arguments, config=path)
    assert done.returncode != 0
    hidden = [found for found in folder.rglob(".*.*") if found.is_file() and ".snakemake" not in found.parts]
    recorded = {checksums_path(found) for found in folder.rglob("*") if found.is_file()}
    assert set(hidden) <= recorded
    return done.stderr + done.stdout


def has(said, *parts):
    """Some line says all of it, and no Python traceback does."""
    lines = [line for line in said.splitlines() if all(part in line for part in parts)]
    assert lines, said[-3000:]
    assert "Traceback (most recent call last)" not in said


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"sead": 1}, ["config key", "found 'sead'"]),
        ({"scenarios": {"one_shot": {"shots": -1, "runs": 2}}}, ["scenarios.one_shot.shots", "found -1"]),
        ({"prompts__encoder": "clip"}, ["config key prompts.encoder", "found 'clip'"]),
        (
            {"detectors": {"patchcore": {"method": "padim", "extractor": "lite0"}}},
            ["config key detectors.patchcore.method", "expected a method among patchcore, cflow", "found 'padim'"],
        ),
    ],
)
def test_mistakes_in_the_config(tmp_path, changes, parts):
    has(attempt(tmp_path, study(**changes), "--dry-run"), *parts)


MANIFEST = "results/mine/lid/train/manifest.csv"
IMAGES = "results/mine/lid/train/images.h5"


PDN = {"pdn_tiny": {"backbone": "pdn_tiny", "layers": ["features"], "weights": "nowhere/pdn.safetensors"}}
PENALTY = {"method": "efficientad", "extractor": "pdn_tiny", "settings": {"penalty": "nowhere/images"}}


@pytest.mark.parametrize(
    ("changes", "target", "sentence"),
    [
        ({}, "all", "datasets.mine.path: expected the data set's folder, found no such folder 'photos'."),
        (
            {"vqgans": {"vqgan_small": {"weights": "nowhere/model.safetensors"}}},
            "generated",
            "vqgans.vqgan_small.weights: expected a file, found none at 'nowhere/model.safetensors'.",
        ),
        (
            {"prompts": {"encoder": "conse", "word_source": "wordlist", "wordlist": "words.txt"}},
            "prompts",
            "prompts.wordlist: expected a file, found none at 'words.txt'.",
        ),
        (
            {"encoders": {"conse": {"kind": "open_clip", "model": "RN50", "weights": "nowhere/clip.pt"}}},
            "prompts",
            "encoders.conse.weights: expected a file, found none at 'nowhere/clip.pt'.",
        ),
        (
            {"extractors": {**PDN, "lite0": PDN["pdn_tiny"]}},
            "results/mine/lid/train/features/pdn_tiny.h5",
            "extractors.pdn_tiny.weights: expected a file, found none at 'nowhere/pdn.safetensors'.",
        ),
        (
            {"detectors": {"patchcore": PENALTY}},
            "results/mine/lid/one_shot/original/patchcore/scores.csv",
            "detectors.patchcore.settings.penalty: expected photographs, none, imagenette or a folder with images, "
            "found 'nowhere/images'.",
        ),
        (
            {
                "anomaly_sources": {"other": {"method": "unrelated", "images": "nowhere/images"}},
                "selection": {"datasets": {"mine": None}, "sources": ["other"], "candidates": ["lite0"]},
            },
            "results/mine/lid/anomalies/other/anomalies.h5",
            "anomaly_sources.other.images: expected photographs, an archive or a folder with images, found "
            "'nowhere/images'.",
        ),
        (
            {"datasets__mine": {"adapter": "folder", "path": "photos", "categories": LID, "in_study": False}},
            "all",
            "datasets: expected a data set of the study, found none; set in_study to true for one.",
        ),
        (
            {"scenarios": {"one_shot": {"shots": 1, "runs": 2}}, "study__scenarios": ["one_shot"], "predict": None},
            "predict",
            "predict.scenario: expected one of scenarios (one_shot), found 'full_shot'.",
        ),
    ],
)
def test_mistakes_that_only_some_targets_meet(tmp_path, changes, target, sentence):
    """Said while the jobs are listed, before one of them runs."""
    folder = in_place(tmp_path / "work")
    if changes:
        photos(folder / "photos")
    config = study(**changes)
    if config["predict"] is None:
        del config["predict"]
    has(attempt(tmp_path, config, target), f"config key {sentence}")
    assert not (folder / "results").exists()


def everything_in(folder):
    return {path: path.is_dir() or path.read_bytes() for path in folder.rglob("*") if ".snakemake" not in path.parts}


OUTSIDE = ("kept.txt", "work/kept.txt", "work/results/gallery/kept.txt", "work/results/gallery/mine/kept.txt")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("category", ".."),
        ("category", "../../.."),
        ("category", "{dataset}"),
        ("category", 1),
        ("category", False),
        ("dataset", ".."),
        ("training_set", ".."),
        ("detector", "/tmp"),
    ],
)
def test_names_that_lead_elsewhere_end_in_one_sentence_and_touch_nothing(tmp_path, key, name):
    folder = in_place(tmp_path / "work")
    photos(folder / "photos")
    for path in OUTSIDE:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    config = study()
    section = {"category": "datasets.mine.categories", "dataset": "datasets"}.get(key, f"{key}s")
    entries = config["datasets"]["mine"]["categories"] if key == "category" else config.setdefault(f"{key}s", {})
    entries[name] = next(iter(entries.values()), {"method": "patchcore", "extractor": "lite0"})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    before = everything_in(tmp_path)
    has(attempt(tmp_path, config), f"config key {section}: expected ", f"found {name!r}")
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("name", ["001", "Dosen rot", "ß & co's (2)"])
def test_plain_names_are_planned_and_nothing_lies_elsewhere(tmp_path, name):
    folder = in_place(tmp_path / "work")
    (photos(folder / "photos") / "lid").rename(folder / "photos" / name)
    good = next((folder / "photos" / name / "train/good").iterdir())
    (folder / "photos" / name / "unlabelled").mkdir()
    shutil.copy(good, folder / "photos" / name / "unlabelled")
    config = study(
        datasets={name: {"adapter": "folder", "path": "photos", "categories": {name: {"class_name": "lid"}}}}
    )
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True))
    before = everything_in(tmp_path)
    said = succeed(folder, "--dry-run", "all", "predict", "ablations", "export", config=path)
    assert f"results/{name}/{name}/train/manifest.csv" in said
    outputs = re.findall(r"^    (?:output|log|benchmark): (.*)$", said, re.MULTILINE)
    assert len(outputs) > 50
    places = {file.partition("/")[0] for line in outputs for file in line.split(", ")}
    assert places <= {"results", "resources"}
    assert everything_in(tmp_path) == before


def test_a_target_that_leads_elsewhere_is_no_target(tmp_path):
    folder = in_place(tmp_path / "work")
    photos(folder / "photos")
    for target in ("results/gallery/mine/../contents.txt", "results/mine/../train/manifest.csv"):
        said = attempt(tmp_path, study(), target)
        assert f"error: No rule to produce {os.path.normpath(target)}" in said
    assert not (folder / "results").exists()


def test_empty_train_good(tmp_path):
    photos(in_place(tmp_path / "work") / "photos")
    for path in (tmp_path / "work/photos/lid/train/good").iterdir():
        path.unlink()
    has(attempt(tmp_path, study(), MANIFEST), "error:", "train/good")


def test_truncated_image(tmp_path):
    home = photos(in_place(tmp_path / "work") / "photos")
    path = home / "lid/train/good/1.png"
    draw = np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)
    Image.fromarray(draw).save(path)
    path.write_bytes(path.read_bytes()[:-400])
    has(attempt(tmp_path, study(), IMAGES), "error:", "train/good/1.png")
    assert not (tmp_path / "work" / IMAGES).exists()


def test_mask_of_another_size(tmp_path):
    home = photos(in_place(tmp_path / "work") / "photos")
    mask = home / "lid/ground_truth/dent/2_mask.png"
    mask.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((40, 48), np.uint8)).save(mask)
    has(attempt(tmp_path, study(), IMAGES.replace("train", "test")), "error:", "2_mask.png", "48")


def test_more_shots_than_images(tmp_path):
    photos(in_place(tmp_path / "work") / "photos", count=2)
    has(attempt(tmp_path, study(), "results/mine/lid/shots.csv"), "error:", "3", "2")


def test_wordlist_without_words(tmp_path):
    folder = in_place(tmp_path / "work")
    photos(folder / "photos")
    (folder / "words.txt").write_text("\n")
    config = study(prompts={"encoder": "conse", "word_source": "wordlist", "wordlist": "words.txt"})
    has(attempt(tmp_path, config, "prompts"), "error:", "words.txt")


def test_unknown_backbone(tmp_path):
    photos(in_place(tmp_path / "work") / "photos")
    config = study(extractors={"lite0": {"backbone": "efficientnet_light0", "layers": ["stage3"]}})
    has(attempt(tmp_path, config, "results/mine/lid/train/features/lite0.h5"), "error:", "efficientnet_light0")


def test_weights_with_another_hash(tmp_path):
    photos(in_place(tmp_path / "work") / "photos")
    weights = "resources/vqgan_small/model.safetensors"
    config = study(vqgans={"vqgan_small": {"weights": weights, "sha256": "0" * 64}})
    said = attempt(tmp_path, config, "results/mine/lid/one_shot/generated_tuned/added.h5")
    has(said, "error:", weights, "expected sha256 0000")


def test_results_folder_that_cannot_be_written(tmp_path):
    folder = in_place(tmp_path / "work")
    (folder / "results").write_text("in the way")
    has(attempt(tmp_path, study(), "--dry-run"), "results", "expected a folder that can be written to")
