"""Whether a product turns: values by hand, a bar at known angles, and that no label is in reach."""

import re

import h5py
import numpy as np
import pandas as pd
import pytest

from tests.rule_packages import ROOT
from variad.generation.settings import Turn, Turning
from variad.generation.strategies import turn
from variad.networks.features import to_tensor, to_uint8
from variad.selection.turning import (
    CANDIDATES,
    LIMIT,
    candidates_of,
    coarse_patches,
    copies_of,
    explained_better,
    features_of_turned,
    find_turning,
    first_shots,
    judge,
    some_of,
)


def patches(*images):
    """``[N, P, 1]`` of lists of numbers."""
    return np.array(images, np.float32)[..., None]


def bar(side=32):
    """A dark bar from the centre to the right on a light ground: no turn but a whole one brings it back."""
    image = np.full((side, side, 3), 200, np.uint8)
    image[side // 2 - 2 : side // 2 + 2, side // 2 : -4] = 20
    return image


def turned(image, *degrees):
    return to_uint8(turn(to_tensor(image[None].repeat(len(degrees), 0)), [Turn(float(angle)) for angle in degrees]))


def pixels(images):
    """Squares of 4 x 4 pixels as features."""
    count, side = len(images), images.shape[1] // 4
    squares = images.reshape(count, side, 4, side, 4, 3).swapaxes(2, 3).reshape(count, side, side, 48)
    return {"pixels": squares.astype(np.float32)}


def test_ratio_of_distances_by_hand():
    assert explained_better(patches([4]), patches([2]), patches([0])) == pytest.approx(0.5, abs=1e-5)
    # distances of two photographs: 2 and 6 from the turned copies, 4 and 3 from the others
    both = explained_better(patches([4], [-4]), patches([2], [2]), patches([0], [-1]))
    assert both == pytest.approx((2 + 6) / (4 + 3), abs=1e-5)


def test_the_worst_explained_patches_count():
    """Nine patches of background that every copy explains, and two of the product: the 90th percentile is theirs."""
    candidate = patches([0] * 9 + [10, 10])
    assert explained_better(candidate, patches([0, 9]), patches([0, 8])) == pytest.approx(0.5, abs=1e-5)


def test_a_photograph_that_is_a_shot_says_nothing():
    assert explained_better(patches([3]), patches([3]), patches([3])) == 1


def test_patches_are_averaged_over_squares():
    values = np.arange(28 * 28, dtype=np.float32).reshape(1, 28, 28, 1)
    assert coarse_patches({"layer": values}).shape == (1, 14 * 14, 1)
    assert coarse_patches({"layer": np.ones((2, 30, 30, 3), np.float32)}).shape == (2, 100, 3)
    inner = coarse_patches({"layer": values}).reshape(14, 14)[5, 5]
    assert inner == pytest.approx(values[0, 10:12, 10:12, 0].mean())


def test_both_kinds_of_copies_are_as_many():
    moved, still = copies_of(bar())
    assert moved.shape == still.shape == (24, 32, 32, 3)
    assert (moved[0] == bar()).all() and (still[0] == bar()).all()
    assert np.abs(moved[12].astype(int) - bar()[::-1, ::-1]).max() <= 1
    # two degrees at most: no pixel but those at the edges of the bar changes
    assert (np.abs(still.astype(int) - bar()) > 30).mean() < 0.03


def test_a_bar_at_any_angle_turns_and_one_at_rest_does_not():
    angles = np.random.default_rng(0).uniform(0, 360, 12)
    lying = find_turning({"a": bar()}, turned(bar(), *angles), pixels)
    assert lying.turns and lying.ratio < 0.8 and lying.candidates == 12
    assert lying.sentence.startswith("The product turns: 12 unlabelled photographs are ")
    resting = find_turning({"a": bar()}, turned(bar(), *np.linspace(-1.5, 1.5, 12)), pixels)
    assert not resting.turns and resting.ratio > 1


def test_half_of_the_photographs_lying_across_is_enough():
    assert find_turning({"a": bar()}, turned(bar(), *[0.7, 90.7] * 6), pixels).turns


def test_without_photographs_the_answer_is_no(tmp_path):
    found = find_turning({"a": bar()}, np.empty((0, 32, 32, 3), np.uint8), pixels)
    assert not found.turns and found.ratio is None and "only unlabelled photographs show" in found.sentence
    found.write(tmp_path / "turning.json")
    assert Turning.read(tmp_path / "turning.json") == found


@pytest.mark.parametrize(
    ("ratio", "answer", "sentence"),
    [
        (0.5, True, "are 50 % nearer to turned copies of the shots than to unturned ones (8 % nearer is the limit)."),
        (LIMIT, False, "are 8 % nearer to"),
        (1.001, False, "are as near to turned copies of the shots as to unturned ones"),
        (1.2, False, "are 20 % farther from turned copies of the shots than from unturned ones"),
    ],
)
def test_the_sentence(ratio, answer, sentence):
    found = judge({"a": 2 * ratio, "b": ratio / 2}, 7)
    assert found.ratio == pytest.approx(ratio)
    assert found.turns is answer
    assert f"7 unlabelled photographs {sentence}" in found.sentence
    assert found.sentence.startswith("The product turns:" if answer else "The product does not turn:")


def test_photographs_are_turned_before_the_network_sees_them(tmp_path):
    straight = bar()
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file.create_dataset("image_id", data=["a", "b"], dtype=h5py.string_dtype())
        file["images"] = np.stack([255 - straight, straight])
    seen = features_of_turned(tmp_path / "images.h5", ["b", "a"], 90.0, pixels)
    upwards = pixels(np.rot90(np.stack([straight, 255 - straight]), axes=(1, 2)))
    assert np.abs(seen["pixels"] - upwards["pixels"]).max() <= 1  # of 255: bicubic, then rounded


def test_shots_of_the_scenario_with_the_fewest():
    few, one = {0: ["a", "b"], 1: ["c", "d"]}, {0: ["a"], 1: ["c"], 2: ["a"]}
    assert first_shots([few, one]) == ["a", "c"]
    assert len(first_shots([{run: [str(run)] for run in range(9)}])) == 5


def test_photographs_are_drawn_once_and_stay_in_order():
    names = [f"{number:03}" for number in range(200)]
    drawn = some_of(names, np.random.default_rng(0))
    assert len(set(drawn)) == CANDIDATES and drawn == sorted(drawn)
    assert some_of(names[:3], np.random.default_rng(0)) == names[:3]


def test_only_candidates_of_some_run_decide():
    names = ["unlabelled/a", "unlabelled/b", "unlabelled/c", "unlabelled/d"]
    pools = [
        pd.DataFrame({"run": [0, 1], "image_id": ["unlabelled/d", "unlabelled/b"]}),
        pd.DataFrame({"run": [0, 0], "image_id": ["unlabelled/b", "test/good/e"]}),
    ]
    assert candidates_of(names, pools) == ["unlabelled/b", "unlabelled/d"]
    assert candidates_of(names, [pd.DataFrame({"run": [], "image_id": []})]) == []


def test_the_rule_has_no_label_in_reach():
    text = (ROOT / "workflow" / "rules" / "generation.smk").read_text("utf-8")
    inputs = re.search(r"rule decide_turning:\n    input:\n(.*?)    output:", text, re.S)[1]
    named = {line.partition("=")[0].strip() for line in inputs.splitlines()}
    assert named == {"images", "unlabelled", "pools", "shots", "weights"}
    assert "manifest" not in inputs and "test" not in inputs
