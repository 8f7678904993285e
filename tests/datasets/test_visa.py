import csv
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.layouts import visa
from variad.core.errors import UserError
from variad.datasets.adapters import open_dataset
from variad.datasets.folders import VISA_CATEGORIES
from variad.datasets.manifest import index_category, pack_category


@pytest.fixture
def root(tmp_path):
    return visa(tmp_path / "VisA", ("candle", "pcb1"))


def test_rows_follow_the_split_file(root, tmp_path):
    manifest = index_category(open_dataset("visa", root), "candle")
    assert list(manifest["image_id"]) == [
        *(f"train/good/000{k}" for k in range(3)),
        *(f"test/good/000{k}" for k in (3, 4)),
        *(f"test/anomaly/00{k}" for k in range(2)),
    ]
    assert list(manifest["label"]) == [0] * 5 + [1] * 2
    assert manifest["image_path"][0] == "candle/Data/Images/Normal/0000.JPG"
    assert list(manifest["mask_path"]) == [""] * 5 + [f"candle/Data/Masks/Anomaly/00{k}.png" for k in range(2)]
    pack_category(manifest, root, tmp_path / "images.h5", 16, "visa", "candle")
    with h5py.File(tmp_path / "images.h5") as file:
        mask = np.asarray(Image.open(root / manifest["mask_path"][5]))
        np.testing.assert_array_equal(file["masks/test/anomaly/000"][:], np.where(mask, 255, 0))


def test_twelve_categories():
    assert len(set(VISA_CATEGORIES)) == 12


def edited(root, number, **values):
    path = root / "split_csv/1cls.csv"
    rows = list(csv.DictReader(path.open(newline="")))
    rows[number] |= values
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root / "candle"), "expected a folder of category 'candle', found pcb1, split_csv"),
        (lambda root: (root / "split_csv/1cls.csv").unlink(), r"1cls\.csv: expected the split .*, found no such file"),
        (
            lambda root: (root / "split_csv/1cls.csv").write_text("a,b\n1,2\n"),
            r"1cls\.csv: expected the columns object, split, label, image, mask, found a, b",
        ),
        (
            lambda root: (root / "candle/Data/Images/Normal/0001.JPG").unlink(),
            r"expected the file 'candle/Data/Images/Normal/0001\.JPG' that split_csv/1cls\.csv lists, found none",
        ),
        (
            lambda root: (root / "candle/Data/Masks/Anomaly/001.png").unlink(),
            r"expected the file 'candle/Data/Masks/Anomaly/001\.png' that",
        ),
        (lambda root: edited(root, 6, mask=""), r"expected a mask of candle/Data/Images/Anomaly/001\.JPG, which"),
        (lambda root: edited(root, 0, split="val"), "expected split train or test .*, found val and normal of"),
        (
            lambda root: [edited(root, k, split="test") for k in range(3)],
            "expected training images of candle, found none",
        ),
    ],
)
def test_damaged_copies(root, change, message):
    change(root)
    with pytest.raises(UserError, match=message):
        index_category(open_dataset("visa", root), "candle")
