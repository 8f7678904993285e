import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from tests.layouts import mvtec_ad
from variad.core.errors import UserError
from variad.datasets.adapters import open_dataset, saturations_of
from variad.datasets.folders import MVTEC_AD_GROUPS
from variad.datasets.manifest import index_category


@pytest.fixture
def root(tmp_path):
    return mvtec_ad(tmp_path / "mvtec", ("bottle", "grid"))


def test_every_image_is_one_row(root):
    manifest = index_category(open_dataset("mvtec_ad", root), "bottle")
    assert list(manifest["image_id"]) == [
        *(f"train/good/00{k}" for k in range(3)),
        *(f"test/broken_large/00{k}" for k in range(2)),
        *(f"test/contamination/00{k}" for k in range(2)),
        *(f"test/good/00{k}" for k in range(2)),
    ]
    assert list(manifest["label"]) == [0] * 3 + [1] * 4 + [0] * 2
    assert manifest["mask_path"][3] == "bottle/ground_truth/broken_large/000_mask.png"
    assert list(manifest["mask_path"] == "") == [True] * 3 + [False] * 4 + [True] * 2
    assert (manifest[["height", "width"]] == (24, 32)).all(axis=None)


def test_grey_images_of_another_category(root):
    manifest = index_category(open_dataset("mvtec_ad", root), "grid")
    assert set(manifest["defect"]) == {"good", "bent", "thread"}
    assert np.asarray(Image.open(root / manifest["image_path"][0])).ndim == 2


def test_ten_objects_five_textures_and_no_saturation(root):
    assert Counter(MVTEC_AD_GROUPS.values()) == {"object": 10, "texture": 5}
    assert {name for name, group in MVTEC_AD_GROUPS.items() if group == "texture"} == {
        "carpet",
        "grid",
        "leather",
        "tile",
        "wood",
    }
    assert list(MVTEC_AD_GROUPS) == sorted(MVTEC_AD_GROUPS)
    assert saturations_of(open_dataset("mvtec_ad", root), "bottle") is None


def test_unlabelled_images_of_a_user_are_not_part_of_it(root):
    shutil.copytree(root / "bottle/train/good", root / "bottle/unlabelled")
    assert {entry.split for entry in open_dataset("mvtec_ad", root).entries("bottle")} == {"train", "test"}


def damaged(root, change):
    change(root / "bottle")
    return index_category(open_dataset("mvtec_ad", root), "bottle")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda home: shutil.rmtree(home), r"mvtec: expected a folder of category 'bottle', found grid\.$"),
        (lambda home: shutil.rmtree(home.parent), r"mvtec: expected the folder of data set mvtec_ad, found no such"),
        (lambda home: shutil.rmtree(home / "train"), r"train/good: expected normal images .*, found no such folder"),
        (lambda home: shutil.rmtree(home / "test/good"), r"test/good: expected good test images .*, found no such"),
        (
            lambda home: [file.unlink() for file in (home / "test/good").iterdir()],
            r"test/good: expected good test images .*, found none",
        ),
        (
            lambda home: [shutil.rmtree(home / "test" / name) for name in ("broken_large", "contamination")],
            r"bottle/test: expected folders of defects, found none",
        ),
        (
            lambda home: (home / "ground_truth/contamination/001_mask.png").unlink(),
            r"contamination/001_mask\.png: expected the mask of bottle/test/contamination/001\.png, found no such file",
        ),
        (lambda home: shutil.rmtree(home / "ground_truth"), r"broken_large/000_mask\.png: expected the mask of"),
        (
            lambda home: Image.new("L", (32, 23)).save(home / "ground_truth/contamination/001_mask.png"),
            r"001_mask\.png: expected a mask of its image's size, 24 x 32 px .*, found 23 x 32",
        ),
    ],
)
def test_damaged_copies(root, change, message):
    with pytest.raises(UserError, match=message) as caught:
        damaged(root, change)
    assert "\n" not in str(caught.value)


def test_unknown_category(root):
    with pytest.raises(UserError, match=r"expected a category of bottle, cable, .*zipper, found 'bottles'"):
        open_dataset("mvtec_ad", root).entries("bottles")
