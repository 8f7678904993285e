"""Thresholds from training normals that the scoring detector did not see."""

import numpy as np

from variad.core.tables import read_table, write_table
from variad.detectors.interface import DetectorInput, Scored
from variad.detectors.scoring import quantile_of, ranked
from variad.detectors.training import held_out_scores


class Recorder:
    """Scores an image by its value and remembers what it was fitted on."""

    uses_images = False

    def __init__(self, log):
        self.log = log

    def fit(self, training, generator):
        self.seen = set(training.features["value"].ravel().tolist())

    def score(self, images):
        values = images.features["value"].ravel()
        self.log.append((self.seen, set(values.tolist())))
        return Scored(values.astype(np.float32), np.zeros((len(values), 1, 1), np.float32))


def run(parents, originals):
    log = []
    values = np.arange(len(parents), dtype=np.float32).reshape(-1, 1, 1, 1)
    scores = held_out_scores(
        lambda: Recorder(log), DetectorInput({"value": values}), parents, originals, np.random.default_rng(0)
    )
    return scores, log


def test_no_relative_of_a_scored_image_is_trained_on():
    parents = ["a", "b", "c", "d", "e", "f", "a", "b", "b", "f"]
    scores, log = run(parents, 6)
    assert sorted(scores.tolist()) == [0, 1, 2, 3, 4, 5]  # every shot once, no added image
    for seen, held in log:
        assert not {parents[int(row)] for row in seen} & {parents[int(row)] for row in held}


def test_copies_of_a_picture_are_held_out_together():
    """Else each would be scored by a detector that saw the other: a threshold of 0."""
    scores, log = run(["p", "q", "p"], 3)
    assert sorted(scores.tolist()) == [0, 1, 2]
    assert [held for _, held in log] == [{0, 2}, {1}]
    assert len(run(["p", "p"], 2)[0]) == 0  # a picture alone leaves none


def test_a_single_shot_stays_and_its_images_are_held_out_in_halves():
    scores, log = run(["a"] * 5, 1)
    assert sorted(scores.tolist()) == [1, 2, 3, 4]
    for seen, held in log:
        assert 0 in seen and not seen & held


def test_one_image_leaves_none_to_hold_out_and_no_threshold(tmp_path):
    scores, log = run(["a"], 1)
    assert len(scores) == len(log) == 0
    assert quantile_of(scores, 0.99) is None
    table = ranked(["b", "a"], np.array([1, 2], np.float32), None)
    write_table(tmp_path / "predictions.csv", table, "predictions")
    read = read_table(tmp_path / "predictions.csv", "predictions")
    assert list(read["image_id"]) == ["a", "b"]
    assert read["threshold"].isna().all() and read["anomalous"].isna().all()


def test_ranking_is_by_score_then_name():
    table = ranked(["b", "a", "c"], np.array([1, 1, 2], np.float32), 1.5)
    assert list(table["image_id"]) == ["c", "a", "b"]
    assert list(table["rank"]) == [1, 2, 3]
    assert list(table["anomalous"]) == [True, False, False]
