"""Data sets whose pile holds another product: the study's, on small folders and on cells."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from variad.core.errors import UserError
from variad.datasets.adapters import open_dataset
from variad.datasets.pool import with_pool

FILE = "config/another_product.py"
ONE_SHOT = {"one_shot": {"shots": 1, "runs": 1}}


@pytest.fixture
def two_products(tmp_path):
    for name, count in (("lids/lid/train/good", 5), ("nuts/nut/train/good", 3), ("lids/lid/test/good", 2)):
        (tmp_path / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "lids/lid/test/dent").mkdir()
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(tmp_path / "lids/lid/test/dent/0.png")
    return tmp_path


def test_the_pile_takes_all_of_the_other_product(two_products):
    settings = {"product": "lids", "other": "nuts", "other_category": "nut", "count": 3}
    dataset = open_dataset(f"{FILE}:AnotherProduct", two_products, **settings)
    pool = {"good": 3, "defective": 0.5, "defects": ["another_product"]}
    entries = with_pool(dataset, pool, "lids", ONE_SHOT).entries("lid")
    assert all((dataset.root / entry.image_path).is_file() for entry in entries)
    found = Counter((entry.split, entry.defect) for entry in entries)
    assert found == {
        ("train", "good"): 2,
        ("test", "good"): 2,
        ("test", "dent"): 1,
        ("unlabelled", "good"): 3,
        ("unlabelled", "another_product"): 3,
    }
    nuts = [entry.image_path.as_posix() for entry in entries if entry.defect == "another_product"]
    assert sorted(nuts) == [f"nuts/nut/train/good/{number}.png" for number in range(3)]


def test_too_few_of_the_other_product(two_products):
    settings = {"product": "lids", "other": "nuts", "other_category": "nut", "count": 4}
    with pytest.raises(UserError, match="count: expected at most the 3 training images of the other product, found 4"):
        open_dataset(f"{FILE}:AnotherProduct", two_products, **settings).entries("lid")


def test_cells_of_the_other_kind_among_cells():
    settings = {"train_good": 12, "test_good": 3, "test_defect": 2, "split_seed": 5, "count": 4}
    dataset = open_dataset(f"{FILE}:AnotherCell", **settings)
    entries = dataset.entries("poly")
    own = open_dataset("elpv", train_good=12, test_good=3, test_defect=2, split_seed=5).entries("poly")
    assert entries[:17] == own and len(entries) == 21
    mono = open_dataset("elpv", train_good=600, test_good=0, test_defect=0, split_seed=5)
    with pytest.raises(UserError, match="at most"):
        mono.entries("mono")  # there are 588
    all_mono = {entry.image_path for entry in open_dataset("elpv", train_good=588, test_good=0).entries("mono")}
    others = [entry for entry in entries if entry.defect == "another_product"]
    assert len(others) == 4 and {entry.image_path for entry in others} <= all_mono
