"""A user's mistakes: one clear sentence, a non-zero exit, and nothing half-written."""

import numpy as np
import pytest
import yaml
from PIL import Image

from .running import TINY, snakemake
from .test_dag import in_place

pytestmark = pytest.mark.slow


def photos(folder, count=4):
    for index in range(count):
        for part in ("train/good", "test/good", "test/dent"):
            path = folder / "lid" / part / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((48, 48), 100 + index, np.uint8)).save(path)
    return folder


def study(**changes):
    config = yaml.safe_load(TINY.read_text())
    config["datasets"] = {"mine": {"adapter": "folder", "path": "photos", "categories": {"lid": {"class_name": "lid"}}}}
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
    leftovers = [found for found in folder.rglob(".*.*") if found.is_file() and ".snakemake" not in found.parts]
    assert not leftovers
    return done.stderr + done.stdout


def has(said, *parts):
    """Some line says all of it, and no Python traceback does."""
    lines = [line for line in said.splitlines() if all(part in line for part in parts)]
    assert lines, said[-3000:]
    assert "Traceback" not in said


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


MANIFEST = "results/mine/lid/manifest.csv"
IMAGES = "results/mine/lid/images.h5"


def test_missing_data_set_folder(tmp_path):
    said = attempt(tmp_path, study(), MANIFEST)
    has(said, "error:", "photos", "found no such folder")
    assert not (tmp_path / "work" / MANIFEST).exists()


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
    has(attempt(tmp_path, study(), IMAGES), "error:", "2_mask.png", "48")


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
    has(attempt(tmp_path, config, "results/mine/lid/features/lite0.h5"), "error:", "efficientnet_light0")


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
