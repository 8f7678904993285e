"""What a study does again when a user's photographs change: what reads them, and no more."""

import os
import shutil

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image

from variad.core.files import sha256
from variad.core.tables import read_table

from .running import TINY, planned, snakemake, succeed

pytestmark = pytest.mark.slow

# what tells of the files that were used, and the tables and pages that have it from there
TOLD = {"take_inventory": 1, "aggregate_metrics": 1, "plot_gains": 1, "record_provenance": 1}
TOLD |= {"build_gallery_page": 1, "build_gallery": 1, "all": 1}
TESTED = {"index_category": 1, "pack_category": 1, "extract_features": 1, "score_test_set": 2}
TESTED |= {"plot_heatmaps_patchcore": 1, "aggregate_category": 1, **TOLD}
PREDICTED = {"index_category": 1, "pack_category": 1, "extract_features": 1, **TOLD}
PREDICTED |= {"predict_images": 1, "build_predictions_page": 1, "predict": 1}
NEVER = {"sample_shots", "build_training_set", "train_detector", "score_held_out"}


def photograph(path, seed, mark=False):
    pixels = np.random.default_rng(seed).integers(90, 160, (64, 64, 3), dtype=np.uint8)
    if mark:
        pixels[20:40, 20:40] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def mask(path, size=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    marked = np.zeros((64, 64), np.uint8)
    marked[20 : 20 + size, 20:40] = 255
    Image.fromarray(marked).save(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small study and its predictions, and the config that they were made with."""
    folder = tmp_path_factory.mktemp("daily")
    home = folder / "photos/lid"
    for seed in range(4):
        photograph(home / f"train/good/{seed}.png", seed)
        photograph(home / f"test/good/{seed}.png", 10 + seed)
        photograph(home / f"test/hole/{seed}.png", 20 + seed, mark=True)
        mask(home / f"ground_truth/hole/{seed}_mask.png")
        photograph(home / f"unlabelled/monday/{seed}.png", 30 + seed)
    study = yaml.safe_load(TINY.read_text())
    categories = {"lid": {"class_name": "bottle lid"}}
    study["datasets"] = {"mine": {"adapter": "folder", "path": str(folder / "photos"), "categories": categories}}
    study["scenarios"] = {"one_shot": {"shots": 1, "runs": 1}}
    study["training_sets"] = {
        "original": {"method": "none"},
        "augmented": {"method": "augment", "strategy": "sharpen", "images_per_shot": {"one_shot": 2}},
    }
    cells = {"scenarios": ["one_shot"], "training_sets": list(study["training_sets"]), "detectors": ["patchcore"]}
    study["study"] = {**cells, "keep_map_runs": [0]}
    study["predict"] = {"scenario": "one_shot", "training_set": "augmented", "detector": "patchcore"}
    (folder / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    succeed(folder, "--cores", "2", "all", "predict", config=folder / "mine.yaml")
    return folder


@pytest.fixture
def daily(finished, tmp_path):
    """A copy of it, whose photographs may change: with all times, below the path that it was made from."""
    kept = tmp_path / "kept"
    shutil.copytree(finished, kept)
    yield finished
    for name in ("photos", "results", ".snakemake"):
        shutil.rmtree(finished / name)
        shutil.copytree(kept / name, finished / name)


def jobs_of(folder):
    return planned(folder, "all", "predict", config=folder / "mine.yaml")


def new_unlabelled(home):
    photograph(home / "unlabelled/monday/new.png", 99)


def gone_unlabelled(home):
    (home / "unlabelled/monday/0.png").unlink()


def new_test(home):
    photograph(home / "test/good/new.png", 99)


def other_test_in_place_with_its_old_time(home):
    path = home / "test/good/0.png"
    times = path.stat()
    photograph(path, 98)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def other_mask(home):
    mask(home / "ground_truth/hole/0_mask.png", 10)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (new_unlabelled, PREDICTED),
        (gone_unlabelled, PREDICTED),
        (new_test, TESTED),
        (other_test_in_place_with_its_old_time, TESTED),
        (other_mask, TESTED),
    ],
)
def test_only_what_reads_a_photograph_is_made_again(daily, change, expected):
    assert jobs_of(daily) == {}
    change(daily / "photos/lid")
    assert jobs_of(daily) == expected
    succeed(daily, "--cores", "2", "all", "predict", config=daily / "mine.yaml")
    assert jobs_of(daily) == {}


def test_another_training_image_reaches_everything(daily):
    photograph(daily / "photos/lid/train/good/0.png", 97)
    assert jobs_of(daily).keys() >= NEVER


def test_only_a_run_takes_times_down(daily):
    record = daily / "results/mine/lid/train/files.json"
    os.utime(daily / "photos/lid/train/good/0.png", (0, 0))
    before = record.read_bytes()
    for arguments in (["--summary"], ["--dag"], ["--lint"], ["-n"]):
        succeed(daily, *arguments, config=daily / "mine.yaml")
        assert record.read_bytes() == before, arguments
    succeed(daily, "--cores", "1", config=daily / "mine.yaml")
    assert record.read_bytes() != before


def test_times_alone_are_no_change(daily):
    for path in (daily / "photos").rglob("*.png"):
        os.utime(path)
    assert jobs_of(daily) == {}


def test_notes_beside_photographs_change_the_inventory_alone(daily):
    (daily / "photos/lid/train/good/notes.txt").write_text("Friday")
    (daily / "photos/lid/train/good/@eaDir").mkdir()
    photograph(daily / "photos/lid/train/good/@eaDir/thumb.jpg", 97)
    assert jobs_of(daily) == TOLD


@pytest.mark.parametrize("answer", [{"copies": "warn"}, {"settings": {"masks_inverted": False}}])
def test_an_answer_about_test_images_trains_nothing(daily, answer):
    study = yaml.safe_load((daily / "mine.yaml").read_text())
    study["datasets"]["mine"] |= answer
    (daily / "answered.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    jobs = planned(daily, "all", "predict", config=daily / "answered.yaml")
    assert jobs["pack_category"] == 1 and not NEVER & jobs.keys()


def test_a_new_photograph_is_computed_alone_and_the_others_keep_their_scores(daily):
    home = daily / "results/mine/lid"
    predictions = home / "one_shot/augmented/patchcore/predictions.csv"
    before = read_table(predictions, "predictions").set_index("image_id")["score"]
    new_unlabelled(daily / "photos/lid")
    succeed(daily, "--cores", "2", "predict", config=daily / "mine.yaml")
    log = daily / "results/logs/extract_features/mine.lid.unlabelled.lite0.log"
    assert "5 images, 1 of them computed" in log.read_text()
    after = read_table(predictions, "predictions").set_index("image_id")["score"]
    assert after.drop("unlabelled/monday/new").to_dict() == before.to_dict()
    with h5py.File(home / "unlabelled/images.h5") as file:
        new = list(file["image_id"].asstr()[:]).index("unlabelled/monday/new")
        assert file["sha256"].asstr()[new] == sha256(daily / "photos/lid/unlabelled/monday/new.png")


def test_the_terminal_names_what_was_not_used(daily):
    (daily / "photos/lid/train/good/notes.txt").write_text("Friday")
    shutil.copy(daily / "photos/lid/unlabelled/monday/0.png", daily / "photos/lid/unlabelled/monday/again.png")
    (daily / "photos/lid/ground_truth/hole/0_mask.png").unlink()
    said = succeed(daily, "--cores", "2", config=daily / "mine.yaml")
    assert (
        "mine/lid: 4 training images; to test on 4 good and 4 with defects, 3 of these with masks; 5 unlabelled" in said
    )
    for part in ("notes.txt", "again.png = unlabelled/monday/0", "a defect without a mask"):
        assert part in said
    assert "notes.txt" in (daily / "results/mine/lid/inventory.csv").read_text()


def test_copies_of_training_images_stop_the_study_unless_allowed(daily):
    shutil.copy(daily / "photos/lid/train/good/0.png", daily / "photos/lid/test/good/copy.png")
    for _ in range(2):  # what was packed before, and put back, is not taken for new by another run
        done = snakemake(daily, "--cores", "2", config=daily / "mine.yaml")
        assert done.returncode != 0
        assert "1 test images are training images (test/good/copy is train/good/0)" in done.stdout + done.stderr
    study = yaml.safe_load((daily / "mine.yaml").read_text())
    study["datasets"]["mine"]["copies"] = "warn"
    allowed = daily / "allowed.yaml"
    allowed.write_text(yaml.safe_dump(study, sort_keys=False))
    said = succeed(daily, "--cores", "2", config=allowed)
    assert "test: 1 test images are training images (test/good/copy is train/good/0)" in said


def test_an_answer_about_a_test_folder_trains_nothing(daily):
    """A folder that could hold either is asked about, and the answer is no news to the training images."""
    photograph(daily / "photos/lid/test/good_2/0.png", 96)
    done = snakemake(daily, "--cores", "2", config=daily / "mine.yaml")
    assert done.returncode != 0
    assert "'good_2' in test, which could be either" in done.stdout + done.stderr
    study = yaml.safe_load((daily / "mine.yaml").read_text())
    study["datasets"]["mine"]["settings"] = {"good": ["good_2"]}
    answered = daily / "answered.yaml"
    answered.write_text(yaml.safe_dump(study, sort_keys=False))
    jobs = planned(daily, "all", "predict", config=answered)
    assert jobs == TESTED
    said = succeed(daily, "--cores", "2", "all", "predict", config=answered)
    assert "to test on 5 good and 4 with defects" in said


def test_photographs_that_moved_are_the_same(daily, tmp_path):
    """To another disk, by copying, with new times; the config says where they are now."""
    shutil.copytree(daily / "photos", tmp_path / "disk/photos", copy_function=shutil.copyfile)
    study = yaml.safe_load((daily / "mine.yaml").read_text())
    study["datasets"]["mine"]["path"] = str(tmp_path / "disk/photos")
    moved = daily / "moved.yaml"
    moved.write_text(yaml.safe_dump(study, sort_keys=False))
    jobs = planned(daily, "all", "predict", config=moved)
    assert jobs.keys() <= {"record_provenance", "all"}  # the record names the config
    new_test(tmp_path / "disk/photos/lid")
    assert planned(daily, "all", "predict", config=moved) == TESTED
