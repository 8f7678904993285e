"""Figures 15 and 18: every run of every point, and what the pictures show of them."""

import math

import h5py
import numpy as np
import pytest

from tests.paper.ablations.made_metrics import metrics
from variad.core.tables import read_table, write_table
from variad.generation.added import AddedImages, no_images, write_added
from variad.generation.settings import Request
from variad.paper.curves import count_curves, curve_points, images_a_run, iteration_curve
from variad.paper.figures import draw_counts, draw_iterations, read_steps

PLACE = {"dataset": "d", "category": "a", "detector": "x", "scenario": "one_shot"}
KEY = ("d", "a", "x", "one_shot")
MADE = metrics(
    {
        (*KEY, "original"): [0.5, 0.6],
        (*KEY, "zero"): [0.6, 0.8],
        (*KEY, "ten"): [0.7, 0.7],
        (*KEY, "again"): [0.4, 0.6],
    }
)


@pytest.fixture
def iterations(tmp_path):
    write_table(tmp_path / "t.csv", iteration_curve(PLACE, {"ten": 10, "zero": 0}, MADE), "ablation_curve")
    return read_table(tmp_path / "t.csv", "ablation_curve")


@pytest.fixture
def counts(tmp_path):
    added = {("d", "a", name): number for name, number in {"zero": 4.0, "ten": 1.0, "again": 8.0}.items()}
    series = {"generated": ["zero", "ten"], "duplicated": ["again"]}
    write_table(tmp_path / "t.csv", count_curves([PLACE], series, added, MADE), "ablation_curve")
    return read_table(tmp_path / "t.csv", "ablation_curve")


def test_runs_by_iterations(iterations):
    assert iterations[["series", "training_set", "run", "value"]].values.tolist() == [
        ["original", "original", 0, 50],
        ["original", "original", 1, 60],
        ["generated", "zero", 0, 60],
        ["generated", "zero", 1, 80],
        ["generated", "ten", 0, 70],
        ["generated", "ten", 1, 70],
    ]
    assert iterations["x"].tolist()[2:] == [0, 0, 10, 10] and iterations["x"].isna().tolist()[:2] == [True, True]


def test_points_are_means_and_spreads(iterations):
    points = curve_points(iterations).set_index("x")
    assert (points.loc[0, "mean"], points.loc[0, "runs"]) == (70, 2)
    assert points.loc[0, "std"] == pytest.approx(10 * math.sqrt(2)) and points.loc[10, "std"] == 0


def test_runs_by_number_of_images(counts):
    assert counts[["series", "training_set", "x"]].drop_duplicates().values.tolist() == [
        ["original", "original", 0],
        ["generated", "ten", 1],
        ["generated", "zero", 4],
        ["duplicated", "again", 8],
    ]


def added(run, accepted):
    requests = [Request(number, f"train/good/{number}", 0) for number in run]
    found = AddedImages.of(np.zeros((len(run), 4, 4, 3), np.uint8), requests, np.zeros(len(run)))
    found.accepted = np.array(accepted)
    return found


def test_only_accepted_images_count(tmp_path):
    write_added(tmp_path / "a.h5", added([0, 0, 1, 1], [True, True, True, False]), {})
    write_added(tmp_path / "none.h5", no_images(4), {})
    assert images_a_run(tmp_path / "a.h5") == 1.5
    assert images_a_run(tmp_path / "none.h5") == 0


def test_steps_of_the_first_image_that_has_them(tmp_path):
    found = added([0, 1], [True, True])
    found.prompt = ["a nut", "a bolt"]
    found.steps = np.stack([np.full((2, 4, 4, 3), value, np.uint8) for value in (50, 90)])
    found.steps_index, found.steps_iteration = np.array([1, 0]), np.array([0, 20])
    write_added(tmp_path / "a.h5", found, {})
    steps = read_steps(tmp_path / "a.h5")
    assert (steps.iterations, steps.parent, steps.prompt, steps.run) == ([0, 20], "train/good/1", "a bolt", 1)
    assert steps.images.shape == (2, 4, 4, 3) and (steps.images == 50).all()
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["steps"]
    assert read_steps(tmp_path / "a.h5") is None


def test_pictures(iterations, counts, tmp_path):
    targets = [tmp_path / "f.png", tmp_path / "f.svg"]
    draw_iterations(targets, iterations, None, "Figure 15")
    assert "guided iterations" in targets[1].read_text("utf-8") and targets[0].stat().st_size > 5000
    first = targets[0].read_bytes()
    draw_iterations(targets, iterations, None, "Figure 15")
    assert targets[0].read_bytes() == first
    draw_counts(targets, counts, "Figure 18")
    text = targets[1].read_text("utf-8")
    assert "d / a / x" in text and "duplicated" in text and "images added to the shots of a run" in text
