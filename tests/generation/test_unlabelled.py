"""Photographs that were chosen without a label, as added images: by hand, through the file, and beside what is made."""

from functools import partial

import h5py
import numpy as np
import pandas as pd
import pytest

from variad.core.errors import UserError
from variad.core.records import count_images, image_batches, picture_rows, read_features
from variad.core.tables import read_table, write_table
from variad.detectors.training import CellFiles, accepted_rows, training_input
from variad.generation.added import (
    AddedImages,
    duplicate,
    export_training_set,
    no_images,
    read_added,
    read_shown,
    write_added,
)
from variad.generation.settings import Request, images_per_parent, is_guided, made_by, requests
from variad.generation.unlabelled import choice_sentence, chosen_images, joined, with_chosen

SIDE = 4


def flat(values):
    return np.stack([np.full((SIDE, SIDE, 3), value, np.uint8) for value in values])


@pytest.fixture
def candidates(tmp_path):
    """Four unlabelled photographs of grey 10, 20, 30, 40."""
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        file["images"] = flat([10, 20, 30, 40])
        file.create_dataset("image_id", data=[f"unlabelled/{name}" for name in "abcd"], dtype=h5py.string_dtype())
    return path


def table(rows):
    """Rows of run, name, score and kept, in any order."""
    chosen = pd.DataFrame(rows, columns=["run", "image_id", "score", "kept"])
    return chosen.assign(image_id="unlabelled/" + chosen["image_id"].astype(str), cut=1.0, strangeness=1.0)


TWO_RUNS = [(1, "a", 0.7, True), (0, "c", 2.0, False), (0, "b", 0.1, True), (0, "a", 0.5, True), (1, "d", 0.2, True)]


def test_candidates_lie_once_and_their_runs_show_them_best_first(candidates):
    added = chosen_images(candidates, table(TWO_RUNS))
    assert added.run.tolist() == [0, 0, 0, 1, 1]
    assert [name[-1] for name in added.parent] == ["b", "a", "c", "d", "a"]
    assert added.score.tolist() == pytest.approx([0.1, 0.5, 2.0, 0.2, 0.7])
    assert added.accepted.tolist() == [True, True, False, True, True]
    assert len(added.images) == 4 and added.picture.max() == 3
    assert added.pictures(range(5))[:, 0, 0, 0].tolist() == [20, 10, 30, 40, 10]
    assert added.distance.tolist() == [0] * 5 and np.isnan(added.similarity).all()


def test_a_photograph_that_is_nowhere_is_told(candidates):
    with pytest.raises(UserError, match="expected image unlabelled/x, found no such image_id"):
        chosen_images(candidates, table([(0, "x", 0.1, True)]))


def test_images_are_made_of_the_shots_first_and_then_of_the_most_normal():
    origins = with_chosen({0: ["train/good/s"], 1: ["train/good/t"], 2: ["train/good/u"]}, table(TWO_RUNS))
    assert origins == {
        0: ["train/good/s", "unlabelled/b", "unlabelled/a"],
        1: ["train/good/t", "unlabelled/d", "unlabelled/a"],
        2: ["train/good/u"],
    }
    wanted = requests(origins, 0.5, 0, ("d", "c", "one_shot", "x"))  # round(1.5) is 2, round(0.5) is 0
    assert [(request.run, request.parent[-1]) for request in wanted] == [(0, "s"), (0, "b"), (1, "t"), (1, "d")]


def test_chosen_and_made_images_are_one_set(candidates, tmp_path):
    made = duplicate(flat([5, 6]), [Request(0, "train/good/s", 7), Request(1, "unlabelled/d", 8)])
    made.accepted[1] = False
    made.trace = {"loss": np.ones((2, 3), np.float32)}
    made.steps, made.steps_index, made.steps_iteration = flat([1])[None], np.array([1]), np.array([0])
    write_added(tmp_path / "added.h5", joined(chosen_images(candidates, table(TWO_RUNS)), made), {"method": "x"})
    added = read_added(tmp_path / "added.h5")
    assert added.run.tolist() == [0, 0, 0, 1, 1, 0, 1]
    assert added.pictures([0, 5, 6, 4])[:, 0, 0, 0].tolist() == [20, 5, 6, 10]
    assert np.isnan(added.score).tolist() == [False] * 5 + [True] * 2
    assert added.seed.tolist() == [0] * 5 + [7, 8]
    assert added.accepted.tolist() == [True, True, False, True, True, True, False]
    with h5py.File(tmp_path / "added.h5") as file:
        assert len(file["images"]) == 6 and file["steps_index"][:].tolist() == [6]
        assert np.isnan(file["trace/loss"][:5]).all() and (file["trace/loss"][5:] == 1).all()
        assert picture_rows(file).tolist() == added.picture.tolist()
    assert choice_sentence(table(TWO_RUNS)) == "2 of 3 unlabelled photographs are taken as good."


def test_features_are_of_pictures_and_detectors_see_those_of_their_runs(candidates, tmp_path):
    """Each picture goes through the network once; a run's detector gets its shots, and then what it shows."""
    write_added(tmp_path / "added.h5", chosen_images(candidates, table(TWO_RUNS)), {})
    assert count_images(tmp_path / "added.h5") == 4
    pictures = np.concatenate(list(image_batches(tmp_path / "added.h5")))
    for name, images in (("added_features", pictures), ("features", flat([99]))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["layer"] = images[:, :1, :1].astype(np.float32)
            file.create_dataset("image_id", data=["train/good/s"], dtype=h5py.string_dtype())
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["images"] = flat([99])
        file.create_dataset("image_id", data=["train/good/s"], dtype=h5py.string_dtype())
    given = (tmp_path / f"{name}.h5" for name in ("train", "features", "added"))
    files = CellFiles(*given, partial(read_features, tmp_path / "added_features.h5", ["layer"]), ["layer"])
    assert accepted_rows(files, 1) == [3, 4] and read_shown(files.added, [3, 4]).tolist() == [3, 0]
    for run, expected in ((0, [99, 20, 10]), (1, [99, 40, 10])):
        seen = training_input(files, run, ["train/good/s"], with_images=True)
        assert seen.features["layer"][:, 0, 0, 0].tolist() == expected
        assert seen.images is not None and seen.images[:, 0, 0, 0].tolist() == expected


def test_exported_photographs_are_the_kept_ones_of_the_run(candidates, tmp_path):
    from PIL import Image

    added = chosen_images(candidates, table(TWO_RUNS))
    assert export_training_set(tmp_path / "run_1", ["train/good/s"], flat([99]), added, 1) == 3
    found = {path.name: int(np.asarray(Image.open(path))[0, 0, 0]) for path in (tmp_path / "run_1").iterdir()}
    assert found == {"s.png": 99, "added_00003.png": 40, "added_00004.png": 10}


def test_without_photographs_the_set_is_that_of_the_shots_alone(candidates, tmp_path):
    write_table(tmp_path / "chosen.csv", table([]), "chosen")
    nothing = read_table(tmp_path / "chosen.csv", "chosen")
    added = joined(chosen_images(candidates, nothing), no_images(SIDE))
    assert added.images.shape == (0, SIDE, SIDE, 3) and len(added.run) == len(added.parent) == 0
    assert with_chosen({0: ["train/good/s"]}, nothing) == {0: ["train/good/s"]}
    write_added(tmp_path / "added.h5", added, {})
    assert read_added(tmp_path / "added.h5").picture.tolist() == []
    assert "there are no unlabelled photographs to choose from" in choice_sentence(nothing)


def test_counts_of_a_choice_that_differs_between_runs():
    rows = [*TWO_RUNS, (1, "b", 3.0, False), (2, "b", 0.3, True)]
    sentence = "1 to 2 of 3 unlabelled photographs are taken as good"
    assert choice_sentence(table(rows)) == f"{sentence}."
    # c was never taken, and no run has e
    for tested, leak in (
        (["a"], "1 of them is a test image"),
        (["a", "b", "c", "e"], "2 of them are test images"),
    ):
        names = {f"unlabelled/{name}" for name in tested}
        assert choice_sentence(table(rows), names) == f"{sentence}; {leak}, so figures mean nothing."
    assert choice_sentence(table(rows), {"unlabelled/c"}) == f"{sentence}."


@pytest.mark.parametrize(("strangeness", "said"), [([1.0, 1.2, 9.0], ""), ([1.4, 1.6, 1.0], "1.4 times as far")])
def test_photographs_of_another_product_are_noticed(strangeness, said):
    chosen = table([(0, name, 0.1, True) for name in "abc"]).assign(strangeness=strangeness)
    sentence = choice_sentence(chosen)
    assert ("another product" in sentence) == bool(said) and said in sentence


def test_other_training_sets_keep_their_file_as_it_was(tmp_path):
    """Nothing in it tells of pictures that several images show."""
    write_added(tmp_path / "added.h5", duplicate(flat([1, 2]), [Request(0, "s", 1), Request(1, "s", 2)]), {"a": 1})
    with h5py.File(tmp_path / "added.h5") as file:
        assert set(file) == {"images", "run", "seed", "similarity", "distance", "accepted", "parent", "prompt"}
        assert picture_rows(file).tolist() == [0, 1]
    added = read_added(tmp_path / "added.h5")
    assert added.picture is None and added.score is None
    assert added.pictures([1])[0, 0, 0, 0] == 2 and isinstance(added, AddedImages)


GENERATE = {
    "vqgan": "v",
    "guidance": 1.0,
    "iterations": 20,
    "images_per_shot": {"one_shot": 8},
    "images_per_image": 0.5,
}


@pytest.mark.parametrize(
    ("recipe", "maker", "each", "guided"),
    [
        ({"method": "none"}, "none", 0, False),
        ({"method": "unlabelled", **GENERATE}, "none", 0, False),
        ({"method": "unlabelled_generated", "then": "generate", **GENERATE}, "generate", 0.5, True),
        ({"method": "unlabelled_generated", "then": "augment", **GENERATE}, "augment", 0.5, False),
        ({"method": "generate", **GENERATE}, "generate", 8, True),
    ],
)
def test_what_makes_the_images_of_a_recipe(recipe, maker, each, guided):
    assert made_by(recipe) == maker
    assert images_per_parent(recipe, "one_shot") == each
    assert is_guided(recipe) is guided
