from unittest.mock import ANY

import h5py
import numpy as np
import pytest
from PIL import Image

from variad.core.errors import UserError
from variad.core.images import resize_square
from variad.datasets.manifest import index_category, pack_category, percentiles
from variad.datasets.own_folder import Folder

GENERATOR = np.random.default_rng(0)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return values


def noise(*shape, high=256, dtype=np.uint8):
    return GENERATOR.integers(0, high, shape).astype(dtype)


def packed(root, path, size=16):
    manifest = index_category(Folder(root), "part")
    pack_category(manifest, root, path, size, "set", "part")
    return manifest


def test_8_bit_images_masks_and_names(tmp_path):
    root, path = tmp_path / "Größe 1", tmp_path / "images.h5"
    grey = save(root / "part/train/good/ä b.png", noise(16, 16))
    colour = save(root / "part/train/good/c.png", noise(40, 20, 3))
    rgba = save(root / "part/test/bad/x.png", noise(16, 16, 4))
    mask = save(root / "part/ground_truth/bad/x_mask.png", np.eye(16, dtype=np.uint8))
    manifest = packed(root, path)
    with h5py.File(path) as file:
        assert list(file["image_id"].asstr()[:]) == list(manifest["image_id"])
        assert list(manifest["image_id"]) == ["train/good/c", "train/good/ä b", "test/bad/x"]
        assert file["images"].shape == (3, 16, 16, 3)
        assert file["images"].dtype == np.uint8
        np.testing.assert_array_equal(file["images"][0], resize_square(colour, 16))
        np.testing.assert_array_equal(file["images"][1], np.stack([grey] * 3, axis=2))
        np.testing.assert_array_equal(file["images"][2], rgba[..., :3])
        np.testing.assert_array_equal(file["masks/test/bad/x"][:], mask * 255)
        attributes = {"image_size": 16, "dataset": "set", "category": "part", "made_with": ANY, "warnings": "[]"}
        assert dict(file.attrs) == attributes
        assert list(file["sha256"].asstr()[:]) == list(manifest["sha256"])


def test_16_bit_images_are_scaled_by_the_training_normals(tmp_path):
    root, path = tmp_path, tmp_path / "images.h5"
    train = [save(root / f"part/train/good/{k}.png", noise(16, 16, high=4096, dtype=np.uint16)) for k in range(3)]
    test = save(root / "part/test/bad/x.png", noise(16, 16, high=65536, dtype=np.uint16))
    eight = save(root / "part/train/good/8bit.png", noise(16, 16))
    packed(root, path)
    low, high = np.percentile(np.stack(train), (0.1, 99.9), method="inverted_cdf")
    with h5py.File(path) as file:
        assert (file.attrs["percentile_low"], file.attrs["percentile_high"]) == (low, high)
        for row, raw in ((0, train[0]), (4, test)):
            expected = np.clip(np.rint((raw.astype(float) - low) / (high - low) * 255), 0, 255)
            difference = file["images"][row, ..., 0].astype(float) - expected
            assert np.abs(difference).max() <= 1  # float32 may round a half to the other side
            assert (difference != 0).mean() < 0.01
        np.testing.assert_array_equal(file["images"][3, ..., 1], eight)


def test_16_bit_images_take_the_full_range_if_no_training_normal_has_16_bits(tmp_path):
    save(tmp_path / "part/train/good/1.png", noise(16, 16))
    grey = noise(16, 16)
    save(tmp_path / "part/test/bad/x.png", grey.astype(np.uint16) * 257)
    packed(tmp_path, tmp_path / "images.h5")
    with h5py.File(tmp_path / "images.h5") as file:
        assert (file.attrs["percentile_low"], file.attrs["percentile_high"]) == (0, 65535)
        np.testing.assert_array_equal(file["images"][1, ..., 0], grey)


def test_percentiles_over_several_images_are_exact():
    images = [noise(30, 20, high=3000, dtype=np.uint16), noise(7, 9, 3, high=65536, dtype=np.uint16)]
    values = np.concatenate([image.ravel() for image in images])
    assert percentiles(images) == tuple(np.percentile(values, (0.1, 99.9), method="inverted_cdf"))


def test_masks_keep_the_original_size(tmp_path):
    save(tmp_path / "part/train/good/1.png", noise(9, 9))
    save(tmp_path / "part/test/bad/1.png", noise(50, 30))
    mask = save(tmp_path / "part/ground_truth/bad/1.png", (noise(50, 30) > 128).astype(np.uint8) * 7)
    packed(tmp_path, tmp_path / "images.h5", size=8)
    with h5py.File(tmp_path / "images.h5") as file:
        np.testing.assert_array_equal(file["masks/test/bad/1"][:], np.where(mask > 0, 255, 0))


def test_packing_twice_gives_the_same_bytes(tmp_path):
    for k in range(3):
        save(tmp_path / f"part/train/good/{k}.png", noise(20, 20, 3))
    packed(tmp_path, tmp_path / "1.h5")
    packed(tmp_path, tmp_path / "2.h5")
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_truncated_image_leaves_no_file(tmp_path):
    save(tmp_path / "part/train/good/1.png", noise(64, 64, 3))
    broken = tmp_path / "part/train/good/2.png"
    save(broken, noise(64, 64, 3))
    broken.write_bytes(broken.read_bytes()[:5000])
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"2\.png: expected a readable image, found: image file is truncated"):
        packed(tmp_path, tmp_path / "out/images.h5")
    assert list((tmp_path / "out").iterdir()) == []


def test_mask_replaced_by_one_of_another_size_since_it_was_indexed(tmp_path):
    save(tmp_path / "part/train/good/1.png", noise(9, 9))
    save(tmp_path / "part/test/bad/1.png", noise(9, 9))
    save(tmp_path / "part/ground_truth/bad/1.png", noise(9, 9))
    manifest = index_category(Folder(tmp_path), "part")
    save(tmp_path / "part/ground_truth/bad/1.png", noise(5, 9))
    with pytest.raises(UserError, match=r"9 x 9 px \(height x width\), found 5 x 9"):
        pack_category(manifest, tmp_path, tmp_path / "images.h5", 8, "set", "part")


def by_split(root, folder, made_with="code", refuse=False, size=8, inverted=False):
    """Both splits as the rules pack them; the warnings of the test's."""
    for split in ("train", "test"):
        manifest = index_category(Folder(root), "part", split)
        train = folder / "train.h5" if split == "test" else None
        path = folder / f"{split}.h5"
        options = {"train": train, "made_with": made_with, "refuse_copies": refuse, "masks_inverted": inverted}
        warnings = pack_category(manifest, root, path, size, "set", "part", **options)
    return warnings


def contents(path):
    with h5py.File(path) as file:
        arrays = {name: file[name][:] for name in ("image_id", "sha256", "images", "pixels", "range")}
        masks = file["masks"].get("test/bad", {})
        return {**arrays, "masks": {name: masks[name][:] for name in masks}}


def test_a_split_is_packed_with_the_scale_of_the_training_images(tmp_path):
    save(tmp_path / "part/train/good/a.png", noise(16, 16, high=4096, dtype=np.uint16))
    save(tmp_path / "part/test/bad/x.png", noise(16, 16, high=4096, dtype=np.uint16))
    packed(tmp_path, tmp_path / "together.h5", 8)
    by_split(tmp_path, tmp_path)
    with h5py.File(tmp_path / "together.h5") as whole, h5py.File(tmp_path / "test.h5") as test:
        assert list(test["image_id"].asstr()[:]) == ["test/bad/x"]
        np.testing.assert_array_equal(test["images"][0], whole["images"][1])
        assert test.attrs["percentile_high"] == whole.attrs["percentile_high"]


def test_images_and_masks_of_the_same_content_are_taken_over(tmp_path):
    """What is taken over is not looked at: what the files hold by now would come out otherwise."""
    root = tmp_path / "photos"
    save(root / "part/train/good/a.png", noise(16, 16))
    for name in "xyz":
        save(root / f"part/test/bad/{name}.png", noise(16, 16, 3))
        save(root / f"part/ground_truth/bad/{name}_mask.png", np.eye(16, dtype=np.uint8))
    by_split(root, tmp_path)
    first = contents(tmp_path / "test.h5")
    manifest = index_category(Folder(root), "part", "test").iloc[[2, 0, 1]]  # another order, too
    kept = (root / "part/test/bad/y.png").read_bytes()
    (root / "part/test/bad/y.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"y\.png"):
        pack_category(manifest, root, tmp_path / "test.h5", 8, "set", "part", None, tmp_path / "train.h5", "code")
    (root / "part/test/bad/y.png").write_bytes(kept)
    for name in "xyz":
        save(root / f"part/ground_truth/bad/{name}_mask.png", np.zeros((16, 16), np.uint8))
    pack_category(manifest, root, tmp_path / "test.h5", 8, "set", "part", None, tmp_path / "train.h5", "code")
    second = contents(tmp_path / "test.h5")
    for name in ("image_id", "sha256", "images", "pixels", "range"):
        np.testing.assert_array_equal(second[name], first[name][[2, 0, 1]])
    np.testing.assert_equal(second["masks"], first["masks"])
    by_split(root, tmp_path)  # the masks' hashes are new
    assert not contents(tmp_path / "test.h5")["masks"]["x"].any()


@pytest.mark.parametrize("change", [{"made_with": "other code"}, {"size": 4}], ids=["code", "size"])
def test_nothing_is_taken_over_from_what_was_made_otherwise(tmp_path, change):
    save(tmp_path / "part/train/good/a.png", noise(16, 16))
    save(tmp_path / "part/test/bad/x.png", noise(16, 16, 3))
    save(tmp_path / "part/ground_truth/bad/x_mask.png", np.eye(16, dtype=np.uint8))
    by_split(tmp_path, tmp_path)
    with h5py.File(tmp_path / "test.h5", "a") as file:
        file["images"][0] = 0
    by_split(tmp_path, tmp_path)
    assert not contents(tmp_path / "test.h5")["images"].any()
    by_split(tmp_path, tmp_path, **change)
    assert contents(tmp_path / "test.h5")["images"].any()


def test_how_masks_are_meant_changes_masks_alone(tmp_path):
    """The answer to a question about masks: no image is packed anew, so that no feature is computed anew."""
    save(tmp_path / "part/train/good/a.png", noise(16, 16))
    save(tmp_path / "part/test/bad/x.png", noise(16, 16, 3))
    mask = save(tmp_path / "part/ground_truth/bad/x_mask.png", np.eye(16, dtype=np.uint8) * 255)
    by_split(tmp_path, tmp_path)
    with h5py.File(tmp_path / "test.h5", "a") as file:
        file["images"][0], made = 0, file.attrs["made_with"]
    by_split(tmp_path, tmp_path, inverted=True)
    found = contents(tmp_path / "test.h5")
    assert not found["images"].any()
    np.testing.assert_array_equal(found["masks"]["x"], 255 - mask)
    with h5py.File(tmp_path / "test.h5") as file:
        assert file.attrs["made_with"] == made


def test_masks_that_mark_nothing_are_said(tmp_path):
    save(tmp_path / "part/train/good/a.png", noise(16, 16))
    for name in "xy":
        save(tmp_path / f"part/test/bad/{name}.png", noise(16, 16, 3))
        save(tmp_path / f"part/ground_truth/bad/{name}_mask.png", np.eye(16, dtype=np.uint8) * (name == "y"))
    for _ in range(2):  # read, and taken over
        assert by_split(tmp_path, tmp_path) == ["1 masks mark nothing (test/bad/x)"]


def test_a_file_that_changed_since_it_was_listed_is_refused(tmp_path):
    save(tmp_path / "part/train/good/a.png", noise(16, 16))
    manifest = index_category(Folder(tmp_path), "part", "train")
    save(tmp_path / "part/train/good/a.png", noise(16, 16))
    with pytest.raises(UserError, match=r"a\.png: expected the file that was listed, found that it changed since"):
        pack_category(manifest, tmp_path, tmp_path / "images.h5", 8, "set", "part")


def test_copies_of_training_images_are_refused_or_said(tmp_path):
    """Whatever their names and formats; and so is a picture with two labels. Copies within one label are none."""
    picture = save(tmp_path / "part/train/good/a.png", noise(16, 16, 3))
    save(tmp_path / "part/train/good/b.png", noise(16, 16, 3))
    other = save(tmp_path / "part/test/good/fresh.png", noise(16, 16, 3))
    save(tmp_path / "part/test/good/again.png", other)
    assert by_split(tmp_path, tmp_path, refuse=True) == []
    save(tmp_path / "part/test/good/copy.bmp", picture)
    save(tmp_path / "part/test/bad/odd.tiff", other)
    said = ["1 test images are training images (test/good/copy is train/good/a)"]
    assert by_split(tmp_path, tmp_path)[0] == said[0]
    with pytest.raises(UserError, match=r"no training images .*test/good/copy is train/good/a.*copies to warn"):
        by_split(tmp_path, tmp_path, refuse=True)
    (tmp_path / "part/test/good/copy.bmp").unlink()
    with pytest.raises(UserError, match="2 test images have two labels"):
        by_split(tmp_path, tmp_path, refuse=True)


@pytest.mark.parametrize(
    "again",
    [
        lambda grey: np.repeat(grey[..., None], 3, axis=2),
        lambda grey: grey.astype(np.uint16) * 257,
        lambda grey: np.dstack([grey, np.full_like(grey, 255)]),
    ],
    ids=["RGB", "16 bits", "alpha"],
)
def test_a_picture_is_the_same_in_every_mode_that_loses_nothing(tmp_path, again):
    grey = save(tmp_path / "part/train/good/a.png", noise(16, 16))
    save(tmp_path / "part/test/good/x.png", again(grey))
    assert "1 test images are training images (test/good/x is train/good/a)" in by_split(tmp_path, tmp_path)
    other = grey.copy()
    other[0, 0] ^= 1
    save(tmp_path / "part/test/good/x.png", again(other))
    assert not any("are training images" in said for said in by_split(tmp_path, tmp_path))


def test_training_images_of_two_depths_are_said(tmp_path):
    for number in range(3):
        save(tmp_path / f"part/train/good/{number}.png", noise(16, 16, dtype=np.uint16 if number else np.uint8))
    manifest = index_category(Folder(tmp_path), "part", "train")
    said = pack_category(manifest, tmp_path, tmp_path / "train.h5", 8, "set", "part")
    assert said == ["1 images have 8 bits and keep their values, 2 have 16 and are scaled"]


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (noise(16, 16), noise(16, 16, high=4096, dtype=np.uint16), "1 images have 16 bits and no training image has"),
        (
            noise(16, 16, high=4096, dtype=np.uint16),
            noise(16, 16),
            "1 images have 8 bits where training images have 16",
        ),
        (noise(16, 16, high=100), noise(16, 16, high=100) + np.uint8(100), "values go from 1"),
        (noise(16, 16, high=4096, dtype=np.uint16), noise(16, 16, high=4096, dtype=np.uint16) // 4, "values go from "),
    ],
    ids=["deeper", "flatter", "brighter", "16-bit darker"],
)
def test_images_that_do_not_fit_the_training_images_values_are_said(tmp_path, train, test, said):
    save(tmp_path / "part/train/good/a.png", train)
    save(tmp_path / "part/test/good/x.png", train)
    assert by_split(tmp_path, tmp_path) == ["1 test images are training images (test/good/x is train/good/a)"]
    save(tmp_path / "part/test/good/x.png", test)
    assert any(said in warning for warning in by_split(tmp_path, tmp_path))
    with h5py.File(tmp_path / "test.h5") as file:
        assert said in file.attrs["warnings"]
