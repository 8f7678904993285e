"""Unlabelled candidates: moved there from labelled images, drawn for each run, and taken out by a person."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.layouts import Size, mvtec_ad
from variad.core.errors import UserError
from variad.core.records import read_image_ids
from variad.core.tables import write_table
from variad.datasets.adapters import Entry, open_dataset, unpack_dataset, watched
from variad.datasets.inventory import also_tested, sentences_of, take_inventory
from variad.datasets.manifest import index_category, pack_category
from variad.datasets.pool import (
    Pool,
    Pooled,
    bad_among,
    draw_candidates,
    matches,
    not_good_file,
    read_not_good,
    with_copies,
    with_pool,
)

SPLITS = ("train", "test", "unlabelled")
SCENARIOS = {"one_shot": {"shots": 1, "runs": 1}, "full_shot": {"shots": "all", "runs": 1}}


def counted(dataset, category):
    return Counter((entry.split, entry.label) for entry in dataset.entries(category))


@pytest.fixture
def screw(tmp_path):
    """20 training images; 6 good test images and 5 of each of the two defects ``scratch`` and ``stain``."""
    return mvtec_ad(tmp_path / "mvtec", ("screw",), Size(train=20, good=6, defective=5))


def test_a_pool_of_mvtec_ad_leaves_train_and_test(screw):
    """9 good ones and a quarter of defects are 12 images, 3 of them with defects: 9 / (1 - 0.25) = 12."""
    dataset = Pooled(open_dataset("mvtec_ad", screw), Pool(9, 0.25), "screws")
    assert counted(dataset, "screw") == {
        ("train", 0): 11,
        ("test", 0): 6,
        ("test", 1): 7,
        ("unlabelled", 0): 9,
        ("unlabelled", 1): 3,
    }
    whole = {entry.image_path for entry in open_dataset("mvtec_ad", screw).entries("screw")}
    paths = [entry.image_path for entry in dataset.entries("screw")]
    assert len(paths) == len(set(paths)) and set(paths) == whole
    pile = [entry for entry in dataset.entries("screw") if entry.split == "unlabelled"]
    assert [entry.image_id for entry in pile] == [f"unlabelled/pool/{number:04}" for number in range(12)]


def test_names_of_a_pool_tell_no_label():
    """Over many seeds every place of the order is a defect as often as chance has it: a third of 300, give or take."""
    entries = [Entry("train", "good", Path(f"{number}.png")) for number in range(9)]
    entries += [Entry("test", "cut", Path(f"{number}.png")) for number in range(5)]
    fixed = type("Fixed", (), {"root": None, "entries": lambda self, category: entries})()
    bad = np.zeros(6)
    for seed in range(300):
        pile = [e for e in Pooled(fixed, Pool(4, 1 / 3, seed), "d").entries("c") if e.split == "unlabelled"]
        bad += [entry.label for entry in pile]
    assert bad.sum() == 600
    assert (abs(bad - 100) < 4 * np.sqrt(300 * 2 / 9)).all()


def test_a_larger_pool_holds_the_smaller_one(screw):
    def pile(pool):
        dataset = Pooled(open_dataset("mvtec_ad", screw), pool, "screws")
        return {entry.image_path for entry in dataset.entries("screw") if entry.split == "unlabelled"}

    small, large = pile(Pool(6, 0.1)), pile(Pool(12, 0.25))
    assert len(small) == 7 and len(large) == 16 and small < large
    assert pile(Pool(6, 0.1, seed=1)) != small


def test_a_pool_may_hold_some_kinds_of_defects_alone(screw):
    dataset = Pooled(open_dataset("mvtec_ad", screw), Pool(6, 0.4, defects=["stain"]), "screws")
    pile = [entry for entry in dataset.entries("screw") if entry.split == "unlabelled" and entry.label]
    assert [entry.defect for entry in pile] == ["stain"] * 4


def test_training_images_do_not_depend_on_the_defects_of_the_pool(screw):
    def trained(pool):
        dataset = Pooled(open_dataset("mvtec_ad", screw), pool, "screws")
        return index_category(dataset, "screw", "train")

    pd.testing.assert_frame_equal(trained(Pool(9)), trained(Pool(9, 0.25, defects=["stain"])))


def test_pools_of_solar_cells_and_textures(tmp_path):
    cells = open_dataset("elpv", train_good=30, test_good=10, test_defect=12)
    assert counted(Pooled(cells, Pool(20, 0.2), "elpv"), "mono") == {
        ("train", 0): 10,
        ("test", 0): 10,
        ("test", 1): 7,
        ("unlabelled", 0): 20,
        ("unlabelled", 1): 5,
    }
    small = {"tile_size": 64, "train_good": 8, "test_good": 2, "defects_per_kind": 2}
    unpack_dataset("textures", tmp_path / "tiles", **small)
    tiles = open_dataset("textures", tmp_path / "tiles", **small)
    assert counted(Pooled(tiles, Pool(6, 0.25), "textures"), "grass") == {
        ("train", 0): 2,
        ("test", 0): 2,
        ("test", 1): 6,
        ("unlabelled", 0): 6,
        ("unlabelled", 1): 2,
    }


def test_the_manifest_keeps_labels_and_no_masks(screw, tmp_path):
    dataset = Pooled(open_dataset("mvtec_ad", screw), Pool(6, 0.25), "screws")
    tables = {split: index_category(dataset, "screw", split) for split in SPLITS}
    pile = tables["unlabelled"]
    assert sorted(pile["label"]) == [0] * 6 + [1] * 2 and set(pile["mask_path"]) == {""}
    for name, defect, path in zip(pile["image_id"], pile["defect"], pile["image_path"], strict=True):
        assert path.split("/")[2] == defect and defect not in name
    for split, table in tables.items():
        train = tmp_path / "train.h5" if split != "train" else None
        test = tmp_path / "test.h5" if split == "unlabelled" else None
        assert (
            pack_category(table, screw, tmp_path / f"{split}.h5", 16, "screws", "screw", train=train, test=test) == []
        )
    assert read_image_ids(tmp_path / "unlabelled.h5") == list(pile["image_id"])
    with h5py.File(tmp_path / "unlabelled.h5") as file, h5py.File(tmp_path / "test.h5") as test:
        assert list(file["masks"]) == []
        assert sum(len(test["masks/test"][kind]) for kind in test["masks/test"]) == 8


def test_a_pools_image_that_is_tested_too_is_refused_or_said(screw, tmp_path):
    for path in (screw / "screw/test/good").glob("*.png"):
        path.unlink()
    twin = Image.open(screw / "screw/train/good/000.png")
    for number in range(1, 20):
        (screw / f"screw/train/good/{number:03}.png").unlink()
    twin.save(screw / "screw/test/good/twin.png")
    Image.fromarray(np.full((24, 32), 7, np.uint8)).save(screw / "screw/train/good/other.png")
    for seed in range(20):  # until the one of the two training images that has a twin is drawn
        dataset = Pooled(open_dataset("mvtec_ad", screw), Pool(1, seed=seed), "screws")
        tables = {split: index_category(dataset, "screw", split) for split in SPLITS}
        if tables["unlabelled"]["image_path"][0].endswith("000.png"):
            break
    pack_category(tables["train"], screw, tmp_path / "train.h5", 16, "screws", "screw")
    pack_category(tables["test"], screw, tmp_path / "test.h5", 16, "screws", "screw", train=tmp_path / "train.h5")
    given = (tables["unlabelled"], screw, tmp_path / "pile.h5", 16, "screws", "screw")
    beside = {"train": tmp_path / "train.h5", "test": tmp_path / "test.h5"}
    said = "1 unlabelled images are test images (unlabelled/pool/0000 is test/good/twin)"
    assert said in pack_category(*given, **beside)
    with pytest.raises(UserError, match=r"unlabelled/pool/0000 is test/good/twin.*set datasets.screws.copies to warn"):
        pack_category(*given, **beside, refuse_copies=True)


def test_the_inventory_counts_a_pool_and_names_its_masks(screw, tmp_path):
    dataset = Pooled(open_dataset("mvtec_ad", screw), Pool(6, 0.25), "screws")
    rows = [row for split in SPLITS for row in index_category(dataset, "screw", split).to_dict("records")]
    write_table(tmp_path / "inventory.csv", pd.DataFrame(take_inventory(dataset, "screw", rows)), "inventory")
    first, *others = sentences_of(tmp_path / "inventory.csv")
    assert first == (
        "14 training images; to test on 6 good and 8 with defects, 8 of these with masks; 8 unlabelled (6 of them good "
        "and 2 with defects, as the reports alone know)"
    )
    masks = [
        line for line in others if line.startswith("2 files not used (mask of an image that counts as unlabelled)")
    ]
    assert len(masks) == 1 and masks[0].count("_mask.png") == 2


@pytest.mark.parametrize(
    ("pool", "shots", "said"),
    [
        (
            Pool(16),
            5,
            "pool.good: expected at most 15 for category 'screw', whose largest scenario needs 5 of its 20 tr",
        ),
        (Pool(20), 1, "pool.good: expected at most 19 .*, found 20"),
        (Pool(9, 0.6), 1, r"pool.defective: expected at most 0.5 for .* can give 9 of its 10 test defects, found 0.6"),
        (Pool(9, 0.5, defects=["stain"]), 1, "expected at most 0.357 for .* can give 5 of its 10 test defects, found"),
        (Pool(9, 0.1, defects=["dent"]), 1, r"pool.defects: expected defects of .* \(scratch, stain\), found 'dent'"),
    ],
)
def test_a_pool_that_asks_for_too_much(screw, pool, shots, said):
    with pytest.raises(UserError, match=f"config key datasets.screws.{said}" if said.startswith("pool") else said):
        Pooled(open_dataset("mvtec_ad", screw), pool, "screws", shots).entries("screw")


def test_a_pool_of_a_folder_without_labelled_defects(tmp_path):
    for number in range(4):
        save(tmp_path / f"lid/train/good/{number}.png", number)
        save(tmp_path / f"lid/unlabelled/{number}.png", 10 + number)
    folder = open_dataset("folder", tmp_path)
    with pytest.raises(
        UserError, match=r"pool.defective: expected 0 for category 'lid', which has no test defects, fou"
    ):
        Pooled(folder, Pool(2, 0.5), "mine").entries("lid")
    assert counted(Pooled(folder, Pool(2), "mine"), "lid") == {
        ("train", 0): 2,
        ("unlabelled", None): 4,
        ("unlabelled", 0): 2,
    }


def test_the_largest_scenario_keeps_its_shots(screw):
    few = {**SCENARIOS, "few_shot": {"shots": 5, "runs": 1}}
    pool = {"good": 16, "defective": 0, "seed": 0, "defects": None}
    dataset = open_dataset("mvtec_ad", screw)
    assert with_pool(dataset, None, "screws", few) is dataset
    assert len(with_pool(dataset, pool, "screws", SCENARIOS).entries("screw")) == 36
    with pytest.raises(UserError, match="largest scenario needs 5"):
        with_pool(dataset, pool, "screws", few).entries("screw")


def test_an_unlabelled_split_of_a_pool_is_read_from_all_folders(screw):
    home = screw / "screw"
    assert watched("mvtec_ad", screw, "screw", "unlabelled") == []
    assert watched("mvtec_ad", screw, "screw", "train", pooled=True) == [home / "train"]
    everything = [home / "train", home / "test", home / "ground_truth"]
    assert watched("mvtec_ad", screw, "screw", "unlabelled", pooled=True) == everything


# --- drawing candidates

PILE = {f"unlabelled/{number:03}": int(number >= 90) for number in range(130)}  # 90 good ones, 40 with defects


def drawn(size=None, contamination=None, images=PILE, runs=3, seed=0):
    rows = draw_candidates(images, runs, size, contamination, seed, ("d", "c", "mine"))
    return [[name for run, name in rows if run == number] for number in range(runs)]


@pytest.mark.parametrize(
    ("size", "share", "good", "bad"),
    [
        (None, 0.0, 90, 0),
        (None, 0.1, 90, 10),
        (None, 0.25, 90, 30),
        (40, 0.25, 30, 10),
        (40, 0.5, 20, 20),
        (10, 0, 10, 0),
    ],
)
def test_a_pile_of_a_known_contamination(size, share, good, bad):
    for names in drawn(size, share):
        assert len(names) == len(set(names))
        assert Counter(PILE[name] for name in names) == Counter({0: good, 1: bad})
    assert len({tuple(names) for names in drawn(size, share)}) == 3


def test_piles_are_nested_by_share_and_by_size():
    for less, more in zip(drawn(None, 0.1), drawn(None, 0.25), strict=True):
        assert [name for name in more if name in set(less)] == less
    for small, large in zip(drawn(20, 0.25), drawn(80, 0.25), strict=True):
        assert set(small) < set(large)


def test_without_a_contamination_all_come_and_labels_are_not_looked_at():
    hidden = dict.fromkeys(PILE)
    assert drawn() == drawn(images=hidden)
    assert all(sorted(names) == sorted(PILE) for names in drawn())
    assert [names[:20] for names in drawn()] == drawn(20) == drawn(20, images=hidden)
    assert drawn(500) == drawn()
    assert draw_candidates({}, 3, None, None, 0, ("d", "c", "mine")) == []


@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.3]))
def test_the_order_of_a_pile_is_that_of_all_images(seed, share):
    """Which depends on names alone, so the order of the rows tells no label."""
    for names, everything in zip(drawn(None, share, seed=seed), drawn(seed=seed), strict=True):
        assert [name for name in everything if name in set(names)] == names


def test_what_a_pile_cannot_be():
    with pytest.raises(UserError, match=r"training_sets.mine.contamination: .* 90 good ones and 40 .* takes 90 and 90"):
        drawn(None, 0.5)
    with pytest.raises(
        UserError, match=r"training_sets.mine.size: expected a pile that d/c has images for.*108 and 12"
    ):
        drawn(120, 0.1)
    with pytest.raises(UserError, match=r"labels are known, as datasets.d.pool draws them, found 1 without, such as b"):
        drawn(None, 0.1, {"a": 0, "b": None})
    with pytest.raises(UserError, match=r"training_sets.mine.contamination: .* found none"):
        drawn(None, 0.1, {})


def test_a_share_of_defects_in_numbers():
    assert [bad_among(120, share) for share in (0, 0.1, 0.25, 0.5)] == [0, 13, 40, 120]


# --- what a person takes out


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)


IMAGES = {
    "unlabelled/3": "lid/unlabelled/3.png",
    "unlabelled/monday/3": "lid/unlabelled/monday/3.jpg",
    "unlabelled/monday/photo #4": "lid/unlabelled/monday/photo #4.png",
    "unlabelled/Grün": "lid/unlabelled/Gru\u0308n.png",
}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("3.png", ["unlabelled/3"]),
        ("monday/3.jpg", ["unlabelled/monday/3"]),
        ("unlabelled\\monday\\3.JPG", ["unlabelled/monday/3"]),
        ("./monday/3.jpg", ["unlabelled/monday/3"]),
        ("unlabelled/3", ["unlabelled/3"]),
        ("3", ["unlabelled/3", "unlabelled/monday/3"]),
        ("photo #4.png", ["unlabelled/monday/photo #4"]),
        ("3.png # a dent", ["unlabelled/3"]),
        ("grün.png", ["unlabelled/Grün"]),
        ("13.png", []),
        ("day/3.jpg", []),
        ("", []),
    ],
)
def test_what_a_line_names(line, found):
    assert matches([line], IMAGES) == {line: found}


def test_a_file_of_lines(tmp_path):
    file = tmp_path / "not_good.txt"
    file.write_text("\ufeff# looked at on Friday\r\n\r\n  3.png  \r\nmonday/4.png # dent\r\n", "utf-8")
    assert read_not_good(file) == ["3.png", "monday/4.png # dent"]
    assert read_not_good(None) == []
    file.write_bytes(b"gr\xfcn.png\n")
    with pytest.raises(UserError, match=r"not_good.txt: expected a text file \(UTF-8\) with one file name a line"):
        read_not_good(file)


@pytest.mark.parametrize("alone", [False, True], ids=["root of several", "root of one"])
def test_where_the_file_lies_and_what_the_inventory_says(tmp_path, alone):
    home = tmp_path / "photos/lid"
    root = home if alone else home.parent
    for number in range(2):
        save(home / f"train/good/{number}.png", number)
        save(home / f"unlabelled/{number}.png", 10 + number)
    assert not_good_file("folder", root, "lid") is None
    (home / "not_good.txt").write_text("1.png\n7.png\n", "utf-8")
    file = not_good_file("folder", root, "lid")
    assert file == home / "not_good.txt"
    assert not_good_file("elpv", None, "mono") is None and not_good_file("visa", root, "lid") is None
    dataset = open_dataset("folder", root)
    rows = [row for split in SPLITS for row in index_category(dataset, "lid", split).to_dict("records")]
    inventory = take_inventory(dataset, "lid", rows, read_not_good(file))
    write_table(tmp_path / "inventory.csv", pd.DataFrame(inventory), "inventory")
    before = "" if alone else "lid/"
    assert list(sentences_of(tmp_path / "inventory.csv"))[2:] == [
        "1 line not used (a line that names no unlabelled photograph): not_good.txt: 7.png",
        "1 file used (no candidate for training, as not_good.txt names it): " + before + "unlabelled/1.png",
    ]
    assert [row["path"] for row in inventory].count(before + "not_good.txt") == 1


def test_who_objects_to_a_photograph_objects_to_its_copies(tmp_path):
    contents = {"unlabelled/1": "a", "unlabelled/2": "b", "unlabelled/again": "a"}
    assert with_copies(["unlabelled/1"], contents) == {"unlabelled/1", "unlabelled/again"}
    assert with_copies([], contents) == set()
    save(tmp_path / "photos/lid/train/good/0.png", 0)
    for name, value in (("1", 1), ("2", 2), ("again", 1)):
        save(tmp_path / f"photos/lid/unlabelled/{name}.png", value)
    dataset = open_dataset("folder", tmp_path / "photos")
    rows = [row for split in SPLITS for row in index_category(dataset, "lid", split).to_dict("records")]
    remarks = {row["image_id"]: row["remark"] for row in take_inventory(dataset, "lid", rows, ["1.png"])}
    assert remarks == {
        "train/good/0": "",
        "unlabelled/1": "no candidate for training, as not_good.txt names it",
        "unlabelled/2": "",
        "unlabelled/again": "no candidate for training, as not_good.txt names the same file; "
        "the same file as unlabelled/1",
    }


def test_unlabelled_photographs_that_are_also_tested_are_known(tmp_path):
    for name, value in (("train/good/0", 0), ("test/good/1", 1), ("test/bad/2", 2), ("unlabelled/a", 1)):
        save(tmp_path / f"photos/lid/{name}.png", value)
    for name, value in (("b", 1), ("c", 0), ("d", 4), ("e", 2)):
        save(tmp_path / f"photos/lid/unlabelled/{name}.png", value)
    dataset = open_dataset("folder", tmp_path / "photos")
    rows = [row for split in SPLITS for row in index_category(dataset, "lid", split).to_dict("records")]
    inventory = take_inventory(dataset, "lid", rows, ["e.png"])
    write_table(tmp_path / "inventory.csv", pd.DataFrame(inventory), "inventory")
    assert also_tested(tmp_path / "inventory.csv") == {"unlabelled/a", "unlabelled/b", "unlabelled/e"}


def test_read_while_snakemake_parses():
    code = "import sys, variad.datasets.pool; sys.exit(len({'torch', 'pandas', 'h5py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
