import hashlib

import numpy as np
import pytest
import skimage
from PIL import Image

from variad.core.errors import UserError
from variad.core.images import read_image, read_mask
from variad.datasets.adapters import open_dataset, unpack_dataset
from variad.datasets.manifest import index_category
from variad.datasets.textures import CATEGORIES, EDGE, KINDS, VISIBLE, Textures, _patch, _stroke, draw_defect

SMALL = {"train_good": 6, "test_good": 4, "defects_per_kind": 3}


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_pixel_is_both_trained_on_and_tested(tmp_path, category):
    used = {"train": np.zeros((512, 512), bool), "test": np.zeros((512, 512), bool)}
    for tile in Textures(tmp_path).tiles(category):
        region = used[tile.split][tile.top : tile.top + 128, tile.left : tile.left + 128]
        assert region.shape == (128, 128)
        region[:] = True
    assert not (used["train"] & used["test"]).any()
    assert min(used["train"].mean(), used["test"].mean()) > 0.35  # of at most a half


@pytest.mark.parametrize("category", CATEGORIES)
def test_clean_tiles_are_the_photograph_up_to_brightness(tmp_path, category):
    photograph = np.asarray(Image.open(f"{skimage.__path__[0]}/data/{category}.png"), float)
    for tile in Textures(tmp_path, **SMALL).tiles(category):
        patch = photograph[tile.top : tile.top + 128, tile.left : tile.left + 128]
        gain, offset = np.polyfit(patch.ravel(), tile.clean.ravel(), 1)
        assert 0.92 < gain < 1.08
        assert np.abs(np.clip(gain * patch + offset, 0, 255) - tile.clean).mean() < 1


@pytest.mark.parametrize("category", CATEGORIES)
def test_masks_are_exact(tmp_path, category):
    tiles = [tile for tile in Textures(tmp_path).tiles(category) if tile.defect != "good"]
    assert {tile.defect for tile in tiles} == set(KINDS)
    for tile in tiles:
        inside = tile.mask == 255
        np.testing.assert_array_equal(tile.mask[~inside], 0)
        np.testing.assert_array_equal(tile.image[~inside], tile.clean[~inside])
        difference = tile.image[inside].astype(float) - tile.clean[inside]
        assert np.sqrt((difference**2).mean()) >= VISIBLE
        assert 0.002 < inside.mean() < 0.13


def test_the_mask_is_where_the_weight_reaches_the_edge():
    generator = np.random.default_rng(5)
    clean, foreign = generator.integers(60, 200, (2, 128, 128)).astype(np.uint8)
    _, mask = draw_defect(clean, "foreign", foreign, np.random.default_rng(7))
    np.testing.assert_array_equal(mask == 255, _patch(128, np.random.default_rng(7)) >= EDGE)


def test_the_edge_of_a_defect_is_soft():
    for weight in (_patch(128, np.random.default_rng(0)), _stroke(128, np.random.default_rng(0))):
        assert weight.min() == 0
        assert weight.max() == pytest.approx(1)
        assert ((weight > EDGE) & (weight < 0.9)).sum() > 0.2 * (weight > EDGE).sum()


def test_rendered_folder_holds_the_tiles_and_is_the_same_every_time(tmp_path):
    digests = []
    for name in ("one", "two"):
        unpack_dataset("textures", tmp_path / name, **SMALL)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        assert len(files) == 3 * (6 + 4 + 2 * 4 * 3)
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert digests[0] == digests[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]

    dataset = open_dataset("textures", tmp_path / "one", **SMALL)
    manifest = index_category(dataset, "grass").set_index("image_id")
    assert len(manifest) == 6 + 4 + 12
    for tile in Textures(tmp_path / "one", **SMALL).tiles("grass"):
        row = manifest.loc[f"{tile.split}/{tile.defect}/{tile.number:03}"]
        np.testing.assert_array_equal(read_image(dataset.root / row["image_path"]), tile.image)
        if tile.mask is not None:
            np.testing.assert_array_equal(read_mask(dataset.root / row["mask_path"]), tile.mask)


def test_a_tile_does_not_depend_on_how_many_there_are_but_on_the_seed(tmp_path):
    few = list(Textures(tmp_path, **SMALL).tiles("brick"))
    many = {(t.split, t.defect, t.number): t for t in Textures(tmp_path).tiles("brick")}
    for tile in few:
        np.testing.assert_array_equal(tile.image, many[tile.split, tile.defect, tile.number].image)
    other = next(Textures(tmp_path, seed=1, **SMALL).tiles("brick"))
    assert not np.array_equal(other.image, few[0].image)


def test_unlabelled_tiles_have_numbers_for_names_and_no_masks(tmp_path):
    settings = {**SMALL, "unlabelled_good": 5, "unlabelled_per_kind": 2}
    unpack_dataset("textures", tmp_path / "made", **settings)
    manifest = index_category(open_dataset("textures", tmp_path / "made", **settings), "gravel")
    pile = manifest[manifest["split"] == "unlabelled"]
    assert list(pile["image_id"]) == [f"unlabelled/{number:03}" for number in range(5 + 2 * 4)]
    assert pile["label"].isna().all() and (pile["mask_path"] == "").all()
    tiles = [t for t in Textures(tmp_path, **settings).tiles("gravel") if t.split == "unlabelled"]
    assert all(tile.top + 128 <= 256 for tile in tiles)  # from the half of training tiles
    read = [read_image(tmp_path / "made" / path).tobytes() for path in pile["image_path"]]
    assert sorted(read) == sorted(tile.image.tobytes() for tile in tiles)
    assert read != [tile.image.tobytes() for tile in tiles]  # good ones do not come first
    without = list(Textures(tmp_path, **SMALL).tiles("gravel"))
    for one, other in zip(without, Textures(tmp_path, **settings).tiles("gravel"), strict=False):
        np.testing.assert_array_equal(one.image, other.image)


def test_errors(tmp_path):
    with pytest.raises(UserError, match="expected a category of brick, grass, gravel, found 'wood'"):
        Textures(tmp_path).entries("wood")
    with pytest.raises(UserError, match="tile_size: expected 64 to 256, found 300"):
        unpack_dataset("textures", tmp_path / "t", tile_size=300)
    assert list(tmp_path.iterdir()) == []  # nothing half-written
    with pytest.raises(UserError, match="expected the folder of a data set, found no such folder"):
        Textures(tmp_path / "t").entries("brick")
    with pytest.raises(UserError, match="adapter 'folder': expected one that renders its files"):
        unpack_dataset("folder", tmp_path / "t")
