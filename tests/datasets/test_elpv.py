from collections import Counter
from pathlib import Path

import pytest

from variad.core.errors import UserError
from variad.datasets.adapters import open_dataset
from variad.datasets.manifest import index_category
from variad.datasets.packaged import Elpv


def labels() -> dict[str, tuple[float, str]]:
    rows = [line.split() for line in (Elpv().root / "labels.csv").read_text().splitlines()]
    return {path: (float(probability), kind) for path, probability, kind in rows}


# counted by hand in labels.csv: normals, anomalies
COUNTS = {"mono": (588, 313), "poly": (920, 402)}


@pytest.mark.parametrize("category", ["mono", "poly"])
def test_everything_is_used_once_when_nothing_is_limited(category):
    entries = Elpv(train_good=None, test_good=None, test_defect=None).entries(category)
    normal, anomalous = COUNTS[category]
    counts = Counter((entry.split, entry.defect) for entry in entries)
    assert counts == {("train", "good"): normal // 2, ("test", "good"): normal // 2, ("test", "defect"): anomalous}
    assert len({entry.image_path for entry in entries}) == normal + anomalous


@pytest.mark.parametrize("split", ["random", "blocks"])
@pytest.mark.parametrize("category", ["mono", "poly"])
def test_labels_are_those_of_the_table(category, split):
    table = labels()
    entries = Elpv(split=split).entries(category)
    assert Counter(entry.label for entry in entries) == {0: 200, 1: 100}
    for entry in entries:
        assert table[entry.image_path.as_posix()] == (float(entry.label), category)
    assert len({entry.image_path for entry in entries}) == 300


def test_random_split_depends_on_its_seed_and_more_training_keeps_the_test():
    def paths(split: str, **settings: int) -> set[Path]:
        return {entry.image_path for entry in Elpv(**settings).entries("mono") if entry.split == split}

    assert paths("test") == paths("test", train_good=300)
    assert paths("train") < paths("train", train_good=300)
    assert paths("train") != paths("train", split_seed=1)
    assert paths("train") == paths("train", split_seed=0)


@pytest.mark.parametrize("category", ["mono", "poly"])
@pytest.mark.parametrize("test_defect", [100, None])
def test_blocks_put_every_test_cell_before_the_first_training_cell(category, test_defect):
    entries = Elpv(split="blocks", test_defect=test_defect).entries(category)
    train = [entry.image_path.name for entry in entries if entry.split == "train"]
    test = [entry.image_path.name for entry in entries if entry.split == "test"]
    normals = sorted(Path(path).name for path, row in labels().items() if row == (0.0, category))
    assert train == normals[-100:]
    assert [name for name in test if name in normals] == normals[:100]
    assert max(test) < min(train)
    assert len(test) >= 200


def test_null_takes_what_the_other_side_leaves():
    for settings, expected in (({"test_good": None}, (100, 488)), ({"train_good": None}, (488, 100))):
        splits = Counter(entry.split for entry in Elpv(**settings).entries("mono") if entry.defect == "good")
        assert (splits["train"], splits["test"]) == expected


def test_manifest_rows():
    manifest = index_category(open_dataset("elpv", train_good=2, test_good=1, test_defect=1), "poly")
    assert list(manifest["split"]) == ["train", "train", "test", "test"]
    assert list(manifest["label"]) == [0, 0, 0, 1]
    assert list(manifest["defect"]) == ["good", "good", "good", "defect"]
    assert (manifest[["height", "width"]] == 300).all(axis=None)
    assert (manifest["mask_path"] == "").all()
    assert manifest["image_id"][3] == f"test/defect/{Path(manifest['image_path'][3]).stem}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_good": 500, "test_good": 100}, "at most 588, found 500 and 100"),
        ({"train_good": 0}, "train_good of at least 1"),
        ({"test_defect": 314}, "test_defect: expected at most 313, found 314"),
    ],
)
def test_numbers_that_the_data_set_does_not_have(settings, message):
    with pytest.raises(UserError, match=message):
        Elpv(**settings).entries("mono")


def test_unlabelled_cells_are_neither_trained_nor_tested_and_change_no_other_split():
    def cells(**settings):
        entries = Elpv(train_good=100, test_good=100, test_defect=100, **settings).entries("poly")
        return {split: [e for e in entries if e.split == split] for split in ("train", "test", "unlabelled")}

    with_pile = cells(unlabelled_good=90, unlabelled_defect=10, unlabelled_unsure=5)
    assert {name: with_pile[name] for name in ("train", "test")} == {name: cells()[name] for name in ("train", "test")}
    pile = [entry.image_path for entry in with_pile["unlabelled"]]
    assert len(set(pile)) == 105 and pile == sorted(pile)  # in file order, which tells nothing
    assert not set(pile) & {entry.image_path for split in ("train", "test") for entry in with_pile[split]}
    rows = [line.split() for line in (Elpv().root / "labels.csv").read_text().splitlines() if line.strip()]
    probability = {Path(row[0]): round(float(row[1]), 2) for row in rows}
    found = sorted(probability[path] for path in pile)
    assert found[:90] == [0.0] * 90 and set(found[90:95]) <= {0.33, 0.67} and found[95:] == [1.0] * 10
    assert {entry.label for entry in with_pile["unlabelled"]} == {None}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unlabelled_good": 389}, "unlabelled_good: expected at most 388, found 389"),
        ({"unlabelled_defect": 214}, "unlabelled_defect: expected at most 213, found 214"),
        ({"unlabelled_unsure": 174}, "unlabelled_unsure: expected at most 173, found 174"),
        ({"split": "blocks", "unlabelled_good": 1}, "expected at most 0 with split blocks, found 1"),
    ],
)
def test_more_unlabelled_cells_than_are_left(settings, message):
    with pytest.raises(UserError, match=message):
        Elpv(**settings).entries("mono")


def test_unknown_category():
    with pytest.raises(UserError, match="expected the category mono or poly, found 'thin'"):
        Elpv().entries("thin")
