import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.layouts import BTAD_SUFFIXES, btad
from variad.core.errors import UserError
from variad.core.images import resize_square
from variad.datasets.adapters import open_dataset
from variad.datasets.manifest import index_category, pack_category


@pytest.fixture
def root(tmp_path):
    return btad(tmp_path / "btad")


@pytest.mark.parametrize("category", ["01", "02", "03"])
def test_every_image_is_one_row(root, category):
    manifest = index_category(open_dataset("btad", root), category)
    suffix, mask_suffix = BTAD_SUFFIXES[category]
    inner = f"BTech_Dataset_transformed/{category}"
    assert list(manifest["image_id"]) == [
        *(f"train/good/000{k}" for k in range(3)),
        *(f"test/good/000{k}" for k in range(2)),
        *(f"test/ko/000{k}" for k in range(2)),
    ]
    assert list(manifest["label"]) == [0] * 5 + [1] * 2
    assert list(manifest["image_path"][[0, 3, 5]]) == [
        f"{inner}/train/ok/0000{suffix}",
        f"{inner}/test/ok/0000{suffix}",
        f"{inner}/test/ko/0000{suffix}",
    ]
    assert list(manifest["mask_path"]) == [""] * 5 + [f"{inner}/ground_truth/ko/000{k}{mask_suffix}" for k in range(2)]


def test_the_folder_inside_the_archive_is_a_root_too(root):
    outer = open_dataset("btad", root).entries("03")
    inner = open_dataset("btad", root / "BTech_Dataset_transformed").entries("03")
    assert [entry.image_id for entry in inner] == [entry.image_id for entry in outer]
    assert inner[0].image_path.as_posix() == "03/train/ok/0000.bmp"


def test_suffixes_may_be_mixed_within_a_folder(root):
    home = root / "BTech_Dataset_transformed/01"
    Image.open(home / "train/ok/0001.bmp").save(home / "train/ok/0007.png")
    names = [entry.image_path.name for entry in open_dataset("btad", root).entries("01") if entry.split == "train"]
    assert names == ["0000.bmp", "0001.bmp", "0002.bmp", "0007.png"]


def test_bmp_and_png_are_packed_alike(root, tmp_path):
    manifest = index_category(open_dataset("btad", root), "03")
    pack_category(manifest, root, tmp_path / "images.h5", 16, "btad", "03")
    with h5py.File(tmp_path / "images.h5") as file:
        for row, name in enumerate(manifest["image_path"]):
            expected = resize_square(np.asarray(Image.open(root / name)), 16)
            np.testing.assert_array_equal(file["images"][row], expected)
        mask = np.asarray(Image.open(root / manifest["mask_path"][6]))
        assert 0 < (mask > 0).sum() < mask.size
        np.testing.assert_array_equal(file["masks/test/ko/0001"][:], mask)
        assert "defects" not in file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda home: shutil.rmtree(home), r"expected a folder of category '01', found 02, 03"),
        (lambda home: shutil.rmtree(home / "train"), r"train/ok: expected normal images .*, found no such folder"),
        (lambda home: shutil.rmtree(home / "test/ko"), r"test/ko: expected anomalous images .*, found no such folder"),
        (lambda home: shutil.rmtree(home / "test/ok"), r"test/ok: expected normal images .*, found no such folder"),
        (
            lambda home: (home / "ground_truth/ko/0001.png").unlink(),
            r"ground_truth/ko: expected a mask 0001\.png or 0001\.bmp of 0001\.bmp, found none",
        ),
        (
            lambda home: Image.new("L", (31, 24)).save(home / "ground_truth/ko/0001.png"),
            r"0001\.png: expected a mask of its image's size, 24 x 32 px .*, found 24 x 31",
        ),
    ],
)
def test_damaged_copies(root, change, message):
    change(root / "BTech_Dataset_transformed/01")
    with pytest.raises(UserError, match=message):
        index_category(open_dataset("btad", root), "01")


def test_unknown_category_and_missing_root(root, tmp_path):
    with pytest.raises(UserError, match="data set btad: expected a category of 01, 02, 03, found '1'"):
        open_dataset("btad", root).entries("1")
    with pytest.raises(UserError, match="nowhere: expected the folder of data set btad, found no such folder"):
        open_dataset("btad", tmp_path / "nowhere").entries("01")
