"""No image vouches for itself: photographs of a training set are scored by detectors that saw nothing of them."""

from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from variad.core.records import read_features, read_images
from variad.core.tables import read_table, write_table
from variad.detectors.anomaly_map import MapSize, full_size_map
from variad.detectors.held_out import (
    CandidateFiles,
    folds,
    peaks_of,
    score_held_out,
    with_held_out,
    write_held_out_maps,
)
from variad.detectors.interface import METHODS, DetectorInput, Extractor, Scored, create_detector
from variad.detectors.training import CellFiles, real_features, training_input
from variad.generation.added import AddedImages, write_added
from variad.inspect.answers import Answers, HeldOutScores
from variad.networks.features import to_tensor
from variad.networks.pdn import load_pdn, standardised

SIDE = 64  # pixels, EfficientAD's smallest


class Recorder:
    """Scores an image by its value and remembers what it was fitted on."""

    uses_images, map_sigma = False, 0.0

    def __init__(self, log):
        self.log = log

    def fit(self, training, generator):
        self.seen = set(training.features["value"].ravel().tolist())

    def score(self, images):
        values = images.features["value"].ravel()
        self.log.append((self.seen, set(values.tolist())))
        return Scored(values.astype(np.float32), np.broadcast_to(values[:, None, None], (len(values), 2, 2)))


def picture(value):
    """A texture with a grey square that has the value."""
    pixels = np.random.default_rng(7).integers(90, 160, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels[20:44, 20:44] = int(value)
    return pixels


def one_number(value):
    """The only feature of an image: its value."""
    return {"value": np.full((1, 1, 1), value)}


class Cell:
    """Files of a cell whose images are numbers: of each photograph, and of each added image with its parent.

    Args:
        train, pool: image_id to what it shows; equal numbers are copies.
        added: (parent, value, accepted) of run 0.
        draw: features by layer and image of a value.
        predicted: of a second pool, whose images are no candidates.
    """

    def __init__(self, folder, train, pool, added, draw=one_number, predicted=None):
        self.folder, self.draw = folder, draw
        folder.mkdir(exist_ok=True)
        layers, given = list(draw(0)), (folder / "train_features.h5", folder / "added.h5")
        of_added = partial(read_features, folder / "added_features.h5", layers)
        self.files = CellFiles(self._split("train", train), *given, of_added, layers)
        self.pool = CandidateFiles(self._split("pool", pool), folder / "pool_features.h5")
        self.pools = [self.pool]
        if predicted is not None:
            images = self._split("predicted", predicted)
            self.pools.append(CandidateFiles(images, folder / "predicted_features.h5"))
        self._features("added", [value for _, value, _ in added])
        nothing = np.zeros(len(added), np.float32)
        images = np.array([picture(value) for _, value, _ in added], np.uint8).reshape(-1, SIDE, SIDE, 3)
        accepted = np.array([kept for *_, kept in added], bool)
        parents, run = [parent for parent, *_ in added], nothing.astype(np.int64)
        table = AddedImages(images, run, parents, [""] * len(added), run.astype(np.uint64), nothing, nothing, accepted)
        write_added(folder / "added.h5", table, {})

    def _split(self, name, photographs):
        path = self.folder / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file["images"] = np.array([picture(value) for value in photographs.values()], np.uint8)
            file["image_id"] = list(photographs)
            file["pixels"] = [f"picture {value}" for value in photographs.values()]
        self._features(name, list(photographs.values()), list(photographs))
        return path

    def _features(self, name, values, names=None):
        with h5py.File(self.folder / f"{name}_features.h5", "w") as file:
            for layer in self.draw(0):
                shape = (-1, *self.draw(0)[layer].shape)
                file[layer] = np.array([self.draw(value)[layer] for value in values], np.float32).reshape(shape)
            if names is not None:
                file["image_id"] = names

    def held_out(self, shots, create=None, extractor=None):
        """What is held out, and the log of the ``Recorder``."""
        log = []
        extractor = extractor or Extractor("none", tuple(self.draw(0)), None, SIDE, None)
        generator = np.random.default_rng(0)
        make = create or (lambda: Recorder(log))
        return score_held_out(make, self.files, shots, extractor, self.pools, generator), log


def test_every_family_is_left_out_once():
    assert list(folds(["a", "b", "a"])) == [{"a"}, {"b"}]
    assert list(folds(list("abcdefg"))) == [{"a", "f"}, {"b", "g"}, {"c"}, {"d"}, {"e"}]
    assert list(folds(["a", "a"])) == list(folds([])) == []


def test_no_photograph_is_scored_by_a_detector_that_saw_anything_of_it(tmp_path):
    """Shots 1 to 3, photographs 10 to 16 of which 15 is not accepted, each with an image made from it, 100 higher."""
    train = {f"train/good/{value}": value for value in (1, 2, 3, 4)}
    pool = {f"unlabelled/{value}": value for value in range(10, 17)}
    added = [(name, value, value != 15) for name, value in pool.items()]
    added += [(name, 100 + value, value != 15) for name, value in [*pool.items(), *train.items()] if value != 4]
    shots = list(train)[:3]
    held, log = Cell(tmp_path / "cell", train, pool, added).held_out(shots)
    assert dict(zip(held.image_ids, held.scored.scores, strict=True)) == {
        name: value for name, value in [*train.items(), *pool.items()] if value != 4
    }
    table = held.table().set_index("image_id")
    assert list(table["peak"]) == list(table["score"])  # of flat maps
    assert sorted(table.index[table["known_good"]]) == shots
    assert list(table.index[~table["trained_on"]]) == ["unlabelled/15"]
    everything = {1, 2, 3, 10, 11, 12, 13, 14, 16}
    assert set().union(*(scored for _, scored in log)) == {*everything, 15}
    for seen, scored in log:
        assert not {value % 100 for value in seen} & scored
    left_out = {frozenset(seen): set() for seen, _ in log}
    for seen, scored in log:
        left_out[frozenset(seen)] |= scored
    assert len(left_out) == 5
    for seen, scored in left_out.items():  # and nothing else is left out
        assert {value % 100 for value in seen} == everything - scored
        assert 1 <= len(scored - {15}) <= 2


def test_copies_of_a_photograph_are_left_out_with_it(tmp_path):
    """Also one that was not accepted, which its copy would vouch for; of a shot's picture likewise."""
    train = {"train/good/a": 1, "train/good/b": 2, "train/good/again": 1}
    pool = {"unlabelled/x": 10, "unlabelled/again": 10, "unlabelled/shot": 1, "unlabelled/other": 12}
    added = [("unlabelled/x", 10, True), ("unlabelled/again", 10, False), ("unlabelled/shot", 1, False)]
    held, log = Cell(tmp_path / "cell", train, pool, added).held_out(
        ["train/good/a", "train/good/b", "train/good/again"]
    )
    assert sorted(held.image_ids) == sorted([*train, "unlabelled/x", "unlabelled/again", "unlabelled/shot"])
    for seen, scored in log:
        assert not seen & scored


def test_a_single_shot_stays_and_what_was_made_of_it_is_held_out_in_halves(tmp_path):
    made = [("train/good/a", 100 + value, True) for value in range(4)]
    held, log = Cell(tmp_path / "cell", {"train/good/a": 1}, {"unlabelled/x": 5}, made).held_out(["train/good/a"])
    assert sorted(held.scored.scores) == [100, 101, 102, 103]
    assert (held.image_ids, list(held.known_good)) == ([""] * 4, [True] * 4)
    assert len(log) == 2
    for seen, scored in log:
        assert 1 in seen and not seen & scored


def test_a_copy_of_the_single_shot_says_nothing_of_a_threshold(tmp_path):
    """A photograph that is the shot, or the shot added again: whoever saw the shot finds nothing in it."""
    pool = {"unlabelled/again": 1, "unlabelled/x": 5}
    copies = [("unlabelled/again", 1, True), ("train/good/a", 1, True), ("unlabelled/x", 5, False)]
    held, log = Cell(tmp_path / "copies", {"train/good/a": 1}, pool, copies).held_out(["train/good/a"])
    assert len(held.image_ids) == len(log) == 0
    made = [*copies, ("train/good/a", 100, True), ("unlabelled/again", 101, True)]
    held, log = Cell(tmp_path / "made", {"train/good/a": 1}, pool, made).held_out(["train/good/a"])
    assert held.scored.scores.tolist() == [100, 101]
    assert log == [({1, 101}, {100}), ({1, 100}, {101})]


def test_one_image_leaves_none_to_hold_out_and_no_threshold(tmp_path):
    held, log = Cell(tmp_path / "cell", {"train/good/a": 1}, {"unlabelled/x": 5}, []).held_out(["train/good/a"])
    assert len(held.image_ids) == len(log) == 0
    write_table(tmp_path / "held_out.csv", held.table(), "held_out_scores")
    answers = Answers(HeldOutScores.from_table(read_table(tmp_path / "held_out.csv", "held_out_scores")))
    assert (answers.bad, answers.count) == (None, 0)
    write_held_out_maps(tmp_path / "maps.h5", held)
    scored, replaced = with_held_out(Scored(np.ones(1), np.ones((1, 2, 2))), ["unlabelled/x"], tmp_path / "maps.h5")
    assert scored.scores.tolist() == [1] and replaced.tolist() == [False]


def test_what_is_predicted_of_a_photograph_that_was_added_is_of_its_fold(tmp_path):
    pool = {"unlabelled/x": 10, "unlabelled/y": 11, "unlabelled/new": 12}
    added = [("unlabelled/x", 10, True), ("unlabelled/y", 11, True)]
    held, _ = Cell(tmp_path / "cell", {"train/good/a": 1}, pool, added).held_out(["train/good/a"])
    write_held_out_maps(tmp_path / "maps.h5", held)
    model = Scored(np.zeros(3, np.float32), np.zeros((3, 2, 2), np.float32))
    scored, replaced = with_held_out(model, list(pool), tmp_path / "maps.h5")
    assert scored.scores.tolist() == [10, 11, 0]
    assert scored.maps[:, 1, 1].tolist() == [10, 11, 0]
    assert replaced.tolist() == [True, True, False]
    assert not model.scores.any()


def test_test_images_of_a_transductive_recipe_are_held_out_for_the_threshold_and_predict_nothing(tmp_path):
    pool = {"test/good/x": 10, "test/hole/y": 11}
    cell = Cell(tmp_path / "cell", {"train/good/a": 1}, pool, [(name, value, True) for name, value in pool.items()])
    held, _ = cell.held_out(["train/good/a"])
    assert dict(zip(held.image_ids, held.scored.scores, strict=True)) == {"train/good/a": 1, **pool}
    write_held_out_maps(tmp_path / "maps.h5", held)
    model = Scored(np.full(1, 5.0, np.float32), np.zeros((1, 2, 2), np.float32))
    scored, replaced = with_held_out(model, ["unlabelled/x"], tmp_path / "maps.h5")
    assert scored.scores.tolist() == [5] and not replaced.any()


def test_a_copy_of_a_test_image_of_a_transductive_recipe_is_predicted_without_it(tmp_path):
    pool, predicted = {"test/good/x": 10, "test/hole/y": 11}, {"unlabelled/copy": 11, "unlabelled/new": 12}
    added = [(name, value, True) for name, value in pool.items()]
    cell = Cell(tmp_path / "cell", {"train/good/a": 1}, pool, added, predicted=predicted)
    held, log = cell.held_out(["train/good/a"])
    scores = {"train/good/a": 1, **pool, "unlabelled/copy": 11}
    assert dict(zip(held.image_ids, held.scored.scores, strict=True)) == scores
    for seen, scored in log:
        assert not seen & scored
    write_held_out_maps(tmp_path / "maps.h5", held)
    model = Scored(np.zeros(2, np.float32), np.zeros((2, 2, 2), np.float32))
    scored, replaced = with_held_out(model, list(predicted), tmp_path / "maps.h5")
    assert scored.scores.tolist() == [11, 0] and replaced.tolist() == [True, False]


def answers(teacher, image):
    """What EfficientAD's teacher makes of an image."""
    with torch.inference_mode():
        return teacher(standardised(to_tensor(image[None])))[0].permute(1, 2, 0).numpy()


def texture(value):
    """Patch features: a texture, and in the middle a square of its own colour."""
    maps = np.random.default_rng(7).normal(0, 0.3, (8, 8, 6))
    maps[2:5, 2:5] += value / 100
    return {"stage3": maps, "stage4": maps[::2, ::2] * 2}


SETTINGS = {
    "patchcore": {"coreset_fraction": 1.0},
    "cflow": {"epochs": 30, "learning_rate": 0.002, "coupling_blocks": 2, "condition_size": 16},
    "reverse_distillation": {"epochs": 30, "blocks": [1, 1], "embedding_blocks": 1, "batch_size": 4},
    "efficientad": {"steps": 3, "penalty": "none", "held_out": 0},
}
TEACHER = Path(__file__).parents[2] / "resources/pdn_tiny/model.safetensors"


class Started:
    """A detector whose random numbers begin anew at each training, so that two trainings can be compared."""

    def __init__(self, method, extractor):
        self.detector = create_detector(method, SETTINGS[method], extractor)
        self.uses_images, self.score = self.detector.uses_images, self.detector.score
        self.map_sigma = self.detector.map_sigma

    def fit(self, training, generator):
        self.detector.fit(training, np.random.default_rng(0))


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_defect_does_not_hide_itself(tmp_path, method):
    """A defect and its copy among the added photographs have the scores that they have where they were not added."""
    assert SETTINGS.keys() == METHODS.keys()
    draw, extractor = texture, Extractor("none", ("stage3", "stage4"), None, SIDE, None)
    if method == "efficientad":
        extractor = Extractor("pdn_tiny", ("features",), str(TEACHER), SIDE, None)
        teacher = load_pdn(extractor.weights, extractor.backbone)

        def draw(value):
            return {"features": answers(teacher, picture(value))}

    pool = {"unlabelled/1": 40, "unlabelled/2": 44, "unlabelled/defect": 250, "unlabelled/copy": 250}
    added, shots = [(name, value, True) for name, value in pool.items()], ["train/good/a"]
    cell = Cell(tmp_path / "cell", {"train/good/a": 42}, pool, added, draw)
    clean = Cell(tmp_path / "clean", {"train/good/a": 42}, pool, [row for row in added if row[1] != 250], draw)
    held, _ = cell.held_out(shots, lambda: Started(method, extractor), extractor)
    score = dict(zip(held.image_ids, held.scored.scores, strict=True))

    names = ["unlabelled/defect", "unlabelled/copy"]
    without, vouched = Started(method, extractor), Started(method, extractor)
    without.fit(training_input(clean.files, 0, shots, without.uses_images), np.random.default_rng(0))
    vouched.fit(training_input(cell.files, 0, shots, vouched.uses_images), np.random.default_rng(0))
    images = read_images(cell.pool.images, names)
    shown = DetectorInput(real_features(cell.pool.features, extractor.layers, names), images)
    assert [score[name] for name in names] == pytest.approx(without.score(shown).scores, rel=1e-5)
    if method == "efficientad":
        return  # three steps teach too little to hide anything
    assert score["unlabelled/defect"] > vouched.score(shown).scores[0]
    assert max(score, key=score.get) in names


def test_a_peak_is_that_of_the_smoothed_map():
    """A single patch of 8 x 8 that is 2 high: at 8 pixels as it is, smoothed and framed as maps are that are kept."""
    maps = np.zeros((2, 8, 8), np.float32)
    maps[1, 4, 5] = 2
    scored = Scored(np.zeros(2, np.float32), maps)
    assert peaks_of(scored, Extractor("none", (), None, 8, None), 0.0).tolist() == [0, 2]
    smoothed = peaks_of(scored, Extractor("none", (), None, 32, 24), 4.0)
    whole = [
        full_size_map(patch_map, MapSize(height, 50, 32, 24, 4.0)).max() for patch_map in maps for height in (20, 99)
    ]
    assert smoothed[0] == 0 and 0 < max(whole) <= smoothed[1] < 2
    assert smoothed[1] == pytest.approx(max(whole), rel=0.02)
