import hashlib
import os
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.datasets.adapters import open_dataset
from variad.datasets.manifest import index_category
from variad.datasets.own_folder import Folder


def save(path, size=(8, 6), value=0, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)
    return path


@pytest.fixture
def odd(tmp_path):
    """A data set of every split, in a folder with a space and an umlaut."""
    root = tmp_path / "Prüf teile"
    home = root / "kleine Schraube"
    save(home / "train/good/b 2.PNG", value=3)
    save(home / "train/good/ä1.jpeg", mode="RGB")
    save(home / "train/good/c.tif", size=(10, 4), mode="RGBA")
    save(home / "test/good/1.bmp")
    save(home / "test/Riß/1.png")
    save(home / "test/Riß/2.png")
    save(home / "test/Riß/3.webp", mode="RGB")
    save(home / "ground_truth/Riß/1_mask.png", value=255)
    save(home / "ground_truth/Riß/2.png", value=255)
    save(home / "unlabelled/new.jpg")
    for name in (".hidden.png", "Thumbs.db", "readme.txt"):
        (home / "train/good" / name).write_bytes(b"nothing")
    (home / "test/.cache").mkdir()
    return root


def test_every_image_is_one_row(odd):
    manifest = index_category(open_dataset("folder", odd), "kleine Schraube")
    table = manifest.astype(object).where(manifest.notna(), None).set_index("image_id")
    assert list(table.index) == [
        "train/good/b 2",
        "train/good/c",
        "train/good/ä1",
        "test/Riß/1",
        "test/Riß/2",
        "test/Riß/3",
        "test/good/1",
        "unlabelled/new",
    ]
    assert list(table["label"]) == [0, 0, 0, 1, 1, 1, 0, None]
    assert list(table["defect"]) == ["good"] * 3 + ["Riß"] * 3 + ["good", ""]
    assert set(table["category"]) == {"kleine Schraube"}
    assert tuple(table.loc["train/good/c", ["height", "width"]]) == (4, 10)
    assert list(table["mask_path"][3:6]) == [
        "kleine Schraube/ground_truth/Riß/1_mask.png",
        "kleine Schraube/ground_truth/Riß/2.png",
        "",
    ]
    for row in table.itertuples():
        assert hashlib.sha256((odd / row.image_path).read_bytes()).hexdigest() == row.sha256


def test_manifest_survives_being_written_and_read(odd, tmp_path):
    manifest = index_category(open_dataset("folder", odd), "kleine Schraube")
    write_table(tmp_path / "manifest.csv", manifest, "manifest")
    back = read_table(tmp_path / "manifest.csv", "manifest")
    for column in manifest:
        a, b = (list(frame[column]) for frame in (manifest, back))
        assert [None if pd.isna(x) else x for x in a] == [None if pd.isna(x) else x for x in b]


def test_good_images_alone_are_enough(tmp_path):
    save(tmp_path / "part/train/good/1.png")
    assert [entry.image_id for entry in Folder(tmp_path).entries("part")] == ["train/good/1"]


def test_a_root_with_train_good_is_one_category_named_as_the_folder(tmp_path):
    save(tmp_path / "part/train/good/1.png")
    save(tmp_path / "part/test/bad/1.png")
    entries = Folder(tmp_path / "part").entries("part")
    assert [entry.image_path.as_posix() for entry in entries] == ["train/good/1.png", "test/bad/1.png"]
    with pytest.raises(UserError, match="expected a folder of category 'other', found part"):
        Folder(tmp_path / "part").entries("other")


def test_missing_root_and_unknown_category(odd, tmp_path):
    with pytest.raises(UserError, match="nowhere: expected the folder of a data set, found no such folder"):
        Folder(tmp_path / "nowhere").entries("x")
    with pytest.raises(UserError, match="expected a folder of category 'nut', found kleine Schraube"):
        Folder(odd).entries("nut")


def test_empty_and_missing_train_good(tmp_path):
    (tmp_path / "part").mkdir()
    with pytest.raises(UserError, match=r"train/good: expected normal images .*, found no such folder"):
        Folder(tmp_path).entries("part")
    (tmp_path / "part/train/good").mkdir(parents=True)
    (tmp_path / "part/train/good/notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"train/good: expected normal images .*, found none"):
        Folder(tmp_path).entries("part")


def test_two_images_of_one_stem(tmp_path):
    save(tmp_path / "part/train/good/1.png")
    save(tmp_path / "part/train/good/1.JPG", mode="RGB")
    with pytest.raises(UserError, match=r"expected one image a stem, found 1\.JPG and 1\.png"):
        Folder(tmp_path).entries("part")


def test_mask_of_another_size(tmp_path):
    save(tmp_path / "part/train/good/1.png")
    save(tmp_path / "part/test/bad/1.png", size=(8, 6))
    save(tmp_path / "part/ground_truth/bad/1_mask.png", size=(6, 8))
    with pytest.raises(UserError, match=r"1_mask\.png: expected .* 6 x 8 px \(height x width\), found 8 x 6\."):
        index_category(Folder(tmp_path), "part")


def test_file_that_is_no_image(tmp_path):
    (save(tmp_path / "part/train/good/1.png").parent / "2.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"2\.png: expected an image .*, found an empty file"):
        index_category(Folder(tmp_path), "part")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
@pytest.mark.parametrize("name", [b"a\nb.png", b"\xff.png"])
def test_names_that_no_table_can_hold(tmp_path, name):
    first = save(tmp_path / "part/train/good/1.png")
    with open(os.fsencode(first.parent) + b"/" + name, "wb") as stream:
        stream.write(first.read_bytes())
    with pytest.raises(UserError, match="expected file names in UTF-8 without control characters"):
        Folder(tmp_path).entries("part")


def test_unknown_adapter_setting_and_missing_path(tmp_path):
    with pytest.raises(UserError, match=r"data set adapter: expected one of elpv, textures, folder, .*, found 'mvtec'"):
        open_dataset("mvtec")
    with pytest.raises(UserError, match=r"settings of adapter 'folder': expected good, .*, found 'depth'"):
        open_dataset("folder", tmp_path, depth=1)
    with pytest.raises(UserError, match=r"settings of adapter 'elpv': expected split, .*, found 'n_train'"):
        open_dataset("elpv", n_train=1)
    with pytest.raises(UserError, match="adapter 'folder': expected the path of the data set's folder, found none"):
        open_dataset("folder")


def test_image_ids_are_unique(odd):
    ids = [entry.image_id for entry in Folder(odd).entries("kleine Schraube")]
    assert len(set(ids)) == len(ids) == 8
    assert np.char.count(np.array(ids), "/").max() == 2
