"""An adapter of a user's own, ``file.py:Class``."""

import numpy as np
import pytest
from PIL import Image

from variad.core.errors import UserError
from variad.datasets.adapters import ADAPTERS, adapter_file, check_adapter, open_dataset
from variad.datasets.manifest import index_category

OWN = """
from dataclasses import dataclass
from pathlib import Path
from variad.datasets.adapters import Entry

@dataclass(frozen=True)
class Flat:
    root: Path
    held_out: int = 1

    def entries(self, category):
        paths = sorted(path.relative_to(self.root) for path in (self.root / category).glob("*.png"))
        train = [Entry("train", "good", path) for path in paths[self.held_out:]]
        return train + [Entry("test", "good", path) for path in paths[:self.held_out]]

class Plain:
    root = Path(".")
    def __init__(self, names=()):
        self.names = names
    def entries(self, category):
        return [Entry("train", "good", Path(name)) for name in self.names]

class Any(Flat):
    def __init__(self, root, **settings):
        super().__init__(root)
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "photos" / "lid").mkdir(parents=True)
    for name in "abc":
        Image.fromarray(np.full((4, 6), ord(name), np.uint8)).save(tmp_path / "photos" / "lid" / f"{name}.png")
    return f"{tmp_path}/mine.py:Flat"


def test_it_lists_images_as_every_adapter_does(own, tmp_path):
    table = index_category(open_dataset(own, tmp_path / "photos", held_out=2), "lid")
    assert list(table["image_id"]) == ["train/good/c", "test/good/a", "test/good/b"]
    assert list(table["image_path"]) == ["lid/c.png", "lid/a.png", "lid/b.png"]
    assert set(zip(table["height"], table["width"], strict=True)) == {(4, 6)}
    check_adapter(own, {"held_out": 2})
    assert adapter_file(own) == tmp_path / "mine.py"


def test_every_registered_adapter_has_a_file() -> None:
    for name in ADAPTERS:
        assert adapter_file(name).is_file()
        check_adapter(name, {"anything": 1})  # the schema knows their settings


def test_a_class_that_wants_no_folder_gets_none(own, tmp_path):
    dataset = open_dataset(own.replace("Flat", "Plain"), None, names=["x.png"])
    assert [entry.image_id for entry in dataset.entries("lid")] == ["train/good/x"]


@pytest.mark.parametrize(
    ("name", "settings", "found"),
    [
        ("Flat", {"held": 1}, "whose settings are held_out, found 'held' among the settings"),
        ("Flat", {"root": 1}, "whose settings are held_out, found 'root' among the settings"),
        ("Plain", {"held_out": 1}, "whose settings are names, found 'held_out' among the settings"),
        ("Round", {}, "a data set adapter class Round in .*, found none"),
    ],
)
def test_a_file_is_looked_into_without_running_it(own, name, settings, found):
    with pytest.raises(UserError, match=rf"mine\.py: expected (a class )?{found}"):
        check_adapter(own.replace("Flat", name), settings)


def test_a_class_that_takes_any_setting_is_not_asked(own):
    check_adapter(own.replace("Flat", "Any"), {"held": 1})


def test_a_file_that_is_no_python(own, tmp_path):
    (tmp_path / "mine.py").write_text("class Flat(:\n")
    with pytest.raises(
        UserError, match=r"mine\.py: expected a Python file of a data set adapter in .*, found: invalid"
    ):
        check_adapter(own, {})


def test_mistakes_are_said_in_a_sentence(own, tmp_path):
    with pytest.raises(UserError, match=r"data set adapter: expected one of elpv, .*, or file.py:Class, found 'flat'"):
        check_adapter("flat")
    with pytest.raises(UserError, match=r"found 'nowhere.py:Flat'"):
        open_dataset("nowhere.py:Flat", tmp_path)
    with pytest.raises(UserError, match=r"mine.py: expected a data set adapter class Round, found none"):
        open_dataset(own.replace("Flat", "Round"), tmp_path)
    with pytest.raises(UserError, match=r"settings of adapter '.*mine.py:Flat': expected held_out, found 'held'"):
        open_dataset(own, tmp_path, held=1)
    with pytest.raises(UserError, match=r"adapter '.*mine.py:Flat': expected the path of the data set's folder"):
        open_dataset(own)


def test_a_manifest_has_training_images_and_each_image_once(own, tmp_path):
    dataset = open_dataset(own, tmp_path / "photos", held_out=3)
    with pytest.raises(UserError, match=r"photos: expected training images of category 'lid', found none"):
        index_category(dataset, "lid")
    twice = open_dataset(own.replace("Flat", "Plain"), names=["a/x.png", "b/x.png"])
    with pytest.raises(
        UserError, match=r"expected each image of 'lid' under a name of its own, found train/good/x twice"
    ):
        index_category(twice, "lid")
