import json
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.layouts import LOCO_DEFECTS, mvtec_loco
from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.datasets.adapters import open_dataset, saturations_of
from variad.datasets.folders import LOCO_CATEGORIES
from variad.datasets.manifest import index_category, pack_category
from variad.datasets.masks import read_defects

BOX = "breakfast_box"
TRUTH = f"{BOX}/ground_truth"


@pytest.fixture
def root(tmp_path):
    return mvtec_loco(tmp_path / "loco")


def packed(root, path):
    dataset = open_dataset("mvtec_loco", root)
    manifest = index_category(dataset, BOX)
    pack_category(manifest, root, path, 16, "mvtec_loco", BOX, saturations_of(dataset, BOX))
    return manifest


def masks_of(root, kind, stem):
    return [np.asarray(Image.open(file)) for file in sorted((root / TRUTH / kind / stem).iterdir())]


def test_every_image_is_one_row_and_its_mask_a_folder(root, tmp_path):
    manifest = index_category(open_dataset("mvtec_loco", root), BOX)
    assert list(manifest["image_id"]) == [
        *(f"train/good/00{k}" for k in range(3)),
        *(f"test/good/00{k}" for k in range(2)),
        *(f"test/logical_anomalies/00{k}" for k in range(2)),
        *(f"test/structural_anomalies/00{k}" for k in range(2)),
    ]
    assert list(manifest["label"]) == [0] * 5 + [1] * 4
    assert list(manifest["mask_path"][4:7]) == [
        "",
        f"{TRUTH}/logical_anomalies/000",
        f"{TRUTH}/logical_anomalies/001",
    ]
    write_table(tmp_path / "manifest.csv", manifest, "manifest")
    back = read_table(tmp_path / "manifest.csv", "manifest")
    assert back.to_dict("records") == manifest.to_dict("records")


def test_categories_are_class_1_to_5_in_order():
    assert LOCO_CATEGORIES == ("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors")


def test_validation_images_train_only_where_asked_for(root):
    unused = open_dataset("mvtec_loco", root).entries(BOX)
    assert not any("validation" in entry.image_path.parts for entry in unused)
    entries = open_dataset("mvtec_loco", root, validation="train").entries(BOX)
    train = [entry.image_id for entry in entries if entry.split == "train"]
    assert train == [*(f"train/good/00{k}" for k in range(3)), *(f"train/good/validation_00{k}" for k in range(2))]
    assert [entry.image_path.as_posix() for entry in entries][3] == f"{BOX}/validation/good/000.png"
    assert [entry for entry in entries if entry.split == "test"] == [e for e in unused if e.split == "test"]
    assert {entry.label for entry in entries if entry.split == "train"} == {0}
    with pytest.raises(UserError, match="mvtec_loco, validation: expected unused or train, found 'test'"):
        open_dataset("mvtec_loco", root, validation="test").entries(BOX)


def test_masks_are_joined_and_kept_one_by_one_with_their_saturation(root, tmp_path):
    manifest = packed(root, tmp_path / "images.h5")
    anomalous = list(manifest.loc[manifest["label"] == 1, "image_id"])
    defects = read_defects(tmp_path / "images.h5", list(manifest["image_id"]))
    assert list(defects) == anomalous
    with h5py.File(tmp_path / "images.h5") as file:
        for image_id in anomalous:
            masks = masks_of(root, *image_id.split("/")[1:])
            np.testing.assert_array_equal(file["masks"][image_id][:], np.where(np.any(masks, axis=0), 255, 0))
            np.testing.assert_array_equal(file["defects"][image_id][:], np.where(masks, 255, 0))
            for mask, defect in zip(masks, defects[image_id], strict=True):
                np.testing.assert_array_equal(defect.pixels, np.flatnonzero(mask))
                assert defect.shape == (24, 32)
    areas = {name: [d.saturation_area for d in found] for name, found in defects.items()}
    size = {name: [len(d.pixels) for d in found] for name, found in defects.items()}
    assert areas["test/logical_anomalies/000"] == [min(40, size["test/logical_anomalies/000"][0])]
    half, whole = size["test/logical_anomalies/001"]
    assert areas["test/logical_anomalies/001"] == [half // 2, whole]  # relative 0.5; more pixels than it has
    first, second, third = size["test/structural_anomalies/000"]
    assert areas["test/structural_anomalies/000"] == [first, second, min(40, third)]


def test_overlapping_masks_are_joined_once(root, tmp_path):
    _, second, third = masks_of(root, "structural_anomalies", "000")
    assert (np.logical_and(second, third)).any()
    packed(root, tmp_path / "images.h5")
    with h5py.File(tmp_path / "images.h5") as file:
        assert set(np.unique(file["masks/test/structural_anomalies/000"])) == {0, 255}


def test_without_saturations_only_the_union_is_packed(root, tmp_path):
    manifest = index_category(open_dataset("mvtec_loco", root), BOX)
    pack_category(manifest, root, tmp_path / "images.h5", 16, "mvtec_loco", BOX)
    assert read_defects(tmp_path / "images.h5", list(manifest["image_id"])) == {}
    with h5py.File(tmp_path / "images.h5") as file:
        assert len(file["masks/test/logical_anomalies"]) == 2


def set_value(path, value):
    Image.fromarray((np.asarray(Image.open(path)) > 0).astype(np.uint8) * value).save(path)


def two_values(path):
    mask = np.asarray(Image.open(path)).copy()
    mask[0, 0] = 77
    Image.fromarray(mask).save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda home: shutil.rmtree(home), r"loco: expected a folder of category 'breakfast_box', found none"),
        (lambda home: shutil.rmtree(home / "train"), r"train/good: expected normal images .*, found no such folder"),
        (
            lambda home: shutil.rmtree(home / "test/logical_anomalies"),
            r"test/logical_anomalies: expected anomalous images .*, found no such folder",
        ),
        (
            lambda home: shutil.rmtree(home / "ground_truth/structural_anomalies/001"),
            r"structural_anomalies/001: expected masks of 001\.png .*, found no such folder",
        ),
        (
            lambda home: (home / "ground_truth/structural_anomalies/001/000.png").unlink(),
            r"structural_anomalies/001: expected masks of 001\.png .*, found none",
        ),
        (
            lambda home: Image.new("L", (32, 25)).save(home / "ground_truth/logical_anomalies/001/001.png"),
            r"001/001\.png: expected a mask of its image's size, 24 x 32 px .*, found 25 x 32",
        ),
        (
            lambda home: (home / "defects_config.json").unlink(),
            r"defects_config\.json: expected the saturation of each defect, found: No such file or directory",
        ),
        (
            lambda home: set_value(home / "ground_truth/logical_anomalies/001/001.png", 9),
            r"001/001\.png: expected a pixel value that defects_config\.json lists \(252, 253, 254, 255\), found 9",
        ),
        (
            lambda home: set_value(home / "ground_truth/logical_anomalies/001/001.png", 0),
            r"001/001\.png: expected a grey mask with 0 and one value for its defect, found values \[\]",
        ),
        (lambda home: two_values(home / "ground_truth/logical_anomalies/000/000.png"), r"found values \[77, 255\]"),
        (
            lambda home: Image.new("RGB", (32, 24), "white").save(home / "ground_truth/logical_anomalies/000/000.png"),
            r"000/000\.png: expected a grey mask .*, found colour",
        ),
    ],
)
def test_damaged_copies(root, tmp_path, change, message):
    change(root / BOX)
    with pytest.raises(UserError, match=message) as caught:
        packed(root, tmp_path / "images.h5")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "images.h5").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON, found: "),
        ("[]", "expected a list of defects, found list without any"),
        ("{}", "expected a list of defects, found dict without any"),
        ("[3]", "expected defects with defect_name, .*, found 3"),
        (json.dumps([{**LOCO_DEFECTS[0], "pixel_value": "255"}]), "expected defects with defect_name, "),
        (json.dumps([{**LOCO_DEFECTS[0], "relative_saturation": 1}]), "expected defects with defect_name, "),
        (json.dumps([{**LOCO_DEFECTS[0], "pixel_value": 256}]), "pixel_value of 'missing_object': expected 1 to 255"),
        (json.dumps([LOCO_DEFECTS[0]] * 2), "expected each pixel_value once, found 255 twice"),
        (
            json.dumps([{**LOCO_DEFECTS[1], "saturation_threshold": 1.2}]),
            "saturation_threshold of 'wrong_ratio': expected above 0 and up to 1, found 1.2",
        ),
        (
            json.dumps([{**LOCO_DEFECTS[0], "saturation_threshold": 0.5}]),
            "saturation_threshold of 'missing_object': expected a whole number of pixels from 1, found 0.5",
        ),
    ],
)
def test_saturations_that_make_no_sense(root, text, message):
    (root / BOX / "defects_config.json").write_text(text)
    with pytest.raises(UserError, match=f"defects_config.json: {message}"):
        open_dataset("mvtec_loco", root).entries(BOX)


def test_unknown_category(root):
    with pytest.raises(UserError, match=r"mvtec_loco: expected a category of breakfast_box, .*, found 'breakfast'"):
        open_dataset("mvtec_loco", root).entries("breakfast")
