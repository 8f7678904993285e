"""What a person reads of files that were used, and of those that were not."""

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.datasets.inventory import SHOWN, sentences_of, take_inventory
from variad.datasets.manifest import index_category
from variad.datasets.own_folder import Folder


def save(path: Path, seed: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def listed(root: Path) -> tuple[list[str], pd.DataFrame]:
    """The sentences and the table of category ``lid``, by way of the file."""
    dataset = Folder(root)
    manifests = [index_category(dataset, "lid", split) for split in ("train", "test", "unlabelled")]
    rows = take_inventory(dataset, "lid", [row for table in manifests for row in table.to_dict("records")])
    write_table(root / "inventory.csv", pd.DataFrame(rows), "inventory")
    return list(sentences_of(root / "inventory.csv")), read_table(root / "inventory.csv", "inventory")


def study(root: Path) -> Path:
    home = root / "lid"
    for seed in range(2):
        save(home / f"train/good/{seed}.png", seed)
        save(home / f"test/good/{seed}.png", 10 + seed)
        save(home / f"test/cut/{seed}.png", 20 + seed)
    mask = home / "ground_truth/cut/0_mask.png"
    mask.parent.mkdir(parents=True)
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(mask)
    save(home / "unlabelled/0.png", 30)
    return home


def test_every_file_is_in_the_table_once(tmp_path):
    home = study(tmp_path)
    (home / "train/good/notes.txt").write_text("")
    (home / "train/good/.hidden.png").write_text("")
    (home / "ground_truth/cut/9_mask.png").write_bytes((home / "ground_truth/cut/0_mask.png").read_bytes())
    sentences, table = listed(tmp_path)
    assert sorted(table["path"]) == sorted(
        path.relative_to(tmp_path).as_posix() for path in home.rglob("*") if path.is_file()
    )
    assert table["used_as"].value_counts().to_dict() == {"image": 7, "nothing": 3, "mask": 1}
    assert sentences == [
        "2 training images; to test on 2 good and 2 with defects, 1 of these with masks; 1 unlabelled",
        "1 file not used (no image (.png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp)): lid/train/good/notes.txt",
        "1 file not used (mask without image): lid/ground_truth/cut/9_mask.png",
        "1 file not used (hidden): lid/train/good/.hidden.png",
        "1 file used (a defect without a mask: pixel metrics leave it out): lid/test/cut/1.png",
    ]


def test_copies_are_named_with_what_they_are_copies_of(tmp_path):
    home = study(tmp_path)
    for name in ("test/good/a.png", "unlabelled/b.png"):
        (home / name).write_bytes((home / "train/good/0.png").read_bytes())
    sentences, table = listed(tmp_path)
    found = "lid/test/good/a.png = train/good/0, lid/unlabelled/b.png = train/good/0"
    assert f"2 files used (the same file as another): {found}" in sentences
    assert table.set_index("path").loc["lid/unlabelled/b.png", "remark"] == "the same file as train/good/0"


def test_names_that_hold_what_parts_remarks(tmp_path):
    home = study(tmp_path)
    save(home / "train/good/lid; left.png", 40)
    (home / "unlabelled/b.png").write_bytes((home / "train/good/lid; left.png").read_bytes())
    for name in ("0", "1"):
        save(home / f"ground_truth/good/{name}_mask.png", 0, "L")
    sentences, _ = listed(tmp_path)
    assert "1 file used (the same file as another): lid/unlabelled/b.png = train/good/lid; left" in sentences
    masks = ", ".join(f"lid/ground_truth/good/{name}_mask.png" for name in "01")
    assert f"2 files not used (mask of a good image, though it marks a defect): {masks}" in sentences
    assert len(sentences) == 4


def test_a_mask_of_a_turned_image_is_said_to_be_upright(tmp_path):
    """Nothing else tells, where the image is square or upside down, of a mask drawn on the picture as it is stored."""
    home = study(tmp_path)
    turned = Image.Exif()
    turned[274] = 3
    for name in ("test/cut/0.png", "test/good/0.png"):
        Image.open(home / name).save(home / name, exif=turned)
    told = [line for line in listed(tmp_path)[0] if "upright" in line]
    both = "lid/test/cut/0.png, lid/test/good/0.png"
    assert f"2 files used (is turned upright by its EXIF orientation (3)): {both}" in told
    assert "1 file used (its mask is taken as drawn on the upright image): lid/test/cut/0.png" in told


def test_a_category_without_any_mask_has_none_missing(tmp_path):
    home = study(tmp_path)
    (home / "ground_truth/cut/0_mask.png").unlink()
    assert len(listed(tmp_path)[0]) == 1


def test_what_cannot_be_measured_is_said(tmp_path):
    home = study(tmp_path)
    for path in (home / "test/good").iterdir():
        path.unlink()
    assert "no image AUROC: all test images are defects" in listed(tmp_path)[0]
    for path in (home / "test/cut").iterdir():
        path.unlink()
    assert "no image AUROC: there are no test images" in listed(tmp_path)[0]


def test_many_files_are_counted_and_some_named(tmp_path):
    home = study(tmp_path)
    for number in range(SHOWN + 3):
        (home / f"unlabelled/{number:02}.txt").write_text("")
    line = listed(tmp_path)[0][1]
    assert line.startswith(f"{SHOWN + 3} files not used (no image") and line.endswith(" and 3 more in inventory.csv")
    assert line.count(".txt") == SHOWN


def test_what_reading_leaves_out_and_what_packing_saw_is_said(tmp_path):
    home = study(tmp_path)
    save(home / "train/good/clear.png", 5, "RGBA")
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file.attrs["warnings"] = json.dumps(["2 images have 8 bits"])
    sentences, _ = listed(tmp_path)
    assert any("transparency" in line and "clear.png" in line for line in sentences)
    (tmp_path / "test").mkdir()
    (tmp_path / "images.h5").rename(tmp_path / "test/images.h5")
    assert list(sentences_of(tmp_path / "inventory.csv", [tmp_path / "test/images.h5"]))[-1] == (
        "test: 2 images have 8 bits"
    )
    packed = tmp_path / "test/images.h5"
    packed.write_bytes(packed.read_bytes()[:100])
    assert list(sentences_of(tmp_path / "inventory.csv", [packed]))[-1] == f"test: {packed} is damaged"


def test_an_unlabelled_file_that_is_no_image_stops_nothing_and_is_named(tmp_path):
    home = study(tmp_path)
    (home / "unlabelled/empty.png").write_bytes(b"")
    sentences, table = listed(tmp_path)
    assert sentences[0].endswith("; 1 unlabelled")
    assert "1 file not used (a damaged file, or no image): lid/unlabelled/empty.png" in sentences
    assert table["path"].is_unique
    (home / "test/good/empty.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty\.png: expected an image"):
        index_category(Folder(tmp_path), "lid", "test")


def test_a_mask_of_a_good_image_is_named_and_more_so_if_it_marks_something(tmp_path):
    home = study(tmp_path)
    for name, value in (("0", 0), ("1", 255)):
        marked = np.zeros((8, 8), np.uint8)
        marked[2:4, 2:4] = value
        (home / "ground_truth/good").mkdir(exist_ok=True)
        Image.fromarray(marked).save(home / f"ground_truth/good/{name}_mask.png")
    sentences, _ = listed(tmp_path)
    assert "1 file not used (mask of a good image): lid/ground_truth/good/0_mask.png" in sentences
    found = "mask of a good image, though it marks a defect"
    assert f"1 file not used ({found}): lid/ground_truth/good/1_mask.png" in sentences
