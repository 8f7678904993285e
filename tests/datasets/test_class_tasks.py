"""Classification data sets as anomaly data sets: the layouts of the published archives."""

import numpy as np
import pytest
from PIL import Image

from tests import layouts
from variad.core.errors import UserError
from variad.datasets.adapters import CLASS_ADAPTERS, open_dataset, unpack_dataset
from variad.datasets.manifest import index_category

SIZE = layouts.Size(train=4, good=3, height=20, width=24)


def ids(dataset, category):
    return [entry.image_id for entry in dataset.entries(category)]


def counts(dataset, category):
    found = {}
    for entry in dataset.entries(category):
        key = (entry.split, entry.defect)
        found[key] = found.get(key, 0) + 1
    return found


def test_cub(tmp_path):
    layouts.cub(tmp_path, SIZE)
    dataset = open_dataset("cub", tmp_path)
    own, *others = layouts.CUB_CLASSES
    # images 0, 2, 4 and 6 of each class train
    assert counts(dataset, own) == {("train", "good"): 4, ("test", "good"): 3} | {("test", name): 3 for name in others}
    assert ids(dataset, own)[:2] == [
        "train/good/Black_footed_Albatross_0000_7001",
        "train/good/Black_footed_Albatross_0002_7003",
    ]
    manifest = index_category(dataset, own)
    assert manifest["image_id"].is_unique
    assert manifest.loc[manifest["defect"] == others[0], "label"].tolist() == [1, 1, 1]
    inner = open_dataset("cub", tmp_path / "CUB_200_2011")
    assert ids(inner, own) == ids(dataset, own)


def test_flowers(tmp_path):
    layouts.flowers_102(tmp_path, size=SIZE)
    dataset = open_dataset("flowers_102", tmp_path)
    assert counts(dataset, "002") == {
        ("train", "good"): 4,
        ("test", "good"): 3,
        ("test", "001"): 3,
        ("test", "003"): 3,
    }
    # class 2 has the images 8 to 14, of which the last three are tested
    assert ids(dataset, "002")[:4] == [f"train/good/image_{number:05}" for number in (8, 9, 10, 11)]
    assert ids(dataset, "002")[4:7] == [f"test/good/image_{number:05}" for number in (12, 13, 14)]
    assert len(index_category(dataset, "002")) == 13


def test_tiny_imagenet(tmp_path):
    layouts.tiny_imagenet(tmp_path, layouts.Size(train=4, good=3, height=64, width=64))
    dataset = open_dataset("tiny_imagenet", tmp_path)
    first, second, third = layouts.TINY_IMAGENET_IDS
    assert counts(dataset, second) == {
        ("train", "good"): 4,
        ("test", "good"): 3,
        ("test", first): 3,
        ("test", third): 3,
    }
    assert ids(dataset, second)[0] == f"train/good/{second}_0"
    assert ids(dataset, second)[4] == "test/good/val_3"
    assert index_category(dataset, second)["height"].unique().tolist() == [64]


def test_folders_of_classes(tmp_path):
    for name in ("cat", "dog"):
        for number in range(6):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name / f"{name}{number}.png")
    dataset = open_dataset("class_folders", tmp_path, train_fraction=0.5)
    assert counts(dataset, "cat") == {("train", "good"): 3, ("test", "good"): 3, ("test", "dog"): 3}
    cat, dog = ({e.image_path for e in dataset.entries(name)} for name in ("cat", "dog"))
    assert len(cat | dog) == 12
    # the test images of a class are the same ones in every task
    assert {path for path in dog if path.parts[0] == "cat"} == {
        e.image_path for e in dataset.entries("cat") if e.split == "test" and e.defect == "good"
    }
    with pytest.raises(UserError, match="train_fraction: expected more than 0 and less than 1, found 1"):
        open_dataset("class_folders", tmp_path, train_fraction=1.0).entries("cat")


def test_package_classes(tmp_path):
    root = tmp_path / "classes"
    settings = {"tile_size": 32, "train": 4, "test": 3, "test_per_class": 2}
    unpack_dataset("package_classes", root, **settings)
    dataset = open_dataset("package_classes", root, **settings)
    assert counts(dataset, "mono") == {("train", "good"): 4, ("test", "good"): 3} | {
        ("test", name): 2 for name in ("brick", "grass", "gravel", "poly")
    }
    tiles = {path: np.asarray(Image.open(path)) for path in sorted(root.rglob("*.png"))}
    assert len(tiles) == 5 * 7 and {tile.shape for tile in tiles.values()} == {(32, 32)}
    assert len({tile.tobytes() for tile in tiles.values()}) == len(tiles)
    assert all(100 < tile.mean() < 150 and 15 < tile.std() < 45 for tile in tiles.values())
    again = tmp_path / "again"
    unpack_dataset("package_classes", again, **settings | {"train": 6})
    for path, tile in tiles.items():
        if "brick" in path.parts:
            np.testing.assert_array_equal(np.asarray(Image.open(again / path.relative_to(root))), tile)
    with pytest.raises(UserError, match="tile_size: expected 16 to 256, found 8"):
        unpack_dataset("package_classes", tmp_path / "small", tile_size=8)


def test_how_many_images_of_other_classes(tmp_path):
    layouts.flowers_102(tmp_path, size=SIZE)
    few = open_dataset("flowers_102", tmp_path, test_per_class=2)
    whole = open_dataset("flowers_102", tmp_path, test_per_class=None)
    assert counts(few, "002")[("test", "001")] == 2 and counts(whole, "002")[("test", "001")] == 3
    assert set(ids(few, "002")) < set(ids(whole, "002"))
    # the same ones whichever class is normal
    of_first = [{name for name in ids(few, category) if name.startswith("test/001/")} for category in ("002", "003")]
    assert of_first[0] == of_first[1]
    seeds = {tuple(ids(open_dataset("flowers_102", tmp_path, test_per_class=1, seed=seed), "002")) for seed in range(8)}
    assert len(seeds) > 1
    with pytest.raises(UserError, match="test_per_class: expected at least 1 or null, found 0"):
        open_dataset("flowers_102", tmp_path, test_per_class=0).entries("002")


@pytest.mark.parametrize("adapter", CLASS_ADAPTERS)
def test_missing_folder(tmp_path, adapter):
    with pytest.raises(UserError, match="expected"):
        open_dataset(adapter, tmp_path / "nowhere").entries("001")


def test_mistakes(tmp_path):
    layouts.cub(tmp_path, SIZE)
    with pytest.raises(UserError, match=r"expected a category of 001\.Black.*, found 'sparrow'"):
        open_dataset("cub", tmp_path).entries("sparrow")
    labels = tmp_path / "CUB_200_2011/image_class_labels.txt"
    labels.write_text("\n".join(labels.read_text().splitlines()[:-1]))
    with pytest.raises(UserError, match="expected the class and the split of image 21, found none"):
        open_dataset("cub", tmp_path).entries("001.Black_footed_Albatross")

    layouts.flowers_102(tmp_path / "flowers", size=SIZE)
    (tmp_path / "flowers/setid.mat").write_bytes(b"no MAT file")
    with pytest.raises(UserError, match=r"setid\.mat: expected a MAT file with trnid, found"):
        open_dataset("flowers_102", tmp_path / "flowers").entries("001")

    layouts.tiny_imagenet(tmp_path / "tiny")
    annotations = tmp_path / "tiny/tiny-imagenet-200/val/val_annotations.txt"
    annotations.write_text("val_0.JPEG\tn99999999\n")
    with pytest.raises(UserError, match=r"val_annotations\.txt: expected a file and a class of wnids\.txt"):
        open_dataset("tiny_imagenet", tmp_path / "tiny").entries("n01443537")

    (tmp_path / "classes/good").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "classes/good/1.png")
    (tmp_path / "classes/bad").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "classes/bad/1.png")
    with pytest.raises(UserError, match="expected no class named 'good'"):
        open_dataset("class_folders", tmp_path / "classes").entries("bad")
