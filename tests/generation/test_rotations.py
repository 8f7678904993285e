"""Turned copies of a shot: which there are, how they lie, and how many a recipe makes."""

import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.generation.settings import Turn, asks_for_turning, requests, turns, turns_candidates, turns_of
from variad.generation.strategies import augment, turn
from variad.study.configuration import resolve

DEFAULT = "config/config.yaml"


def picture(side=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def recipe(**more):
    given = {"original": {"method": "none"}, "x": {"method": "augment", "strategy": "rotations", **more}}
    study = {"scenarios": ["one_shot"], "training_sets": ["original", "x"], "detectors": ["patchcore"]}
    return resolve({"training_sets": given, "study": study}, DEFAULT)["training_sets"]["x"]


def test_turns_are_a_circle_without_the_shot_itself():
    assert turns(90) == [Turn(90), Turn(180), Turn(270)]
    assert turns(100) == [Turn(100), Turn(200), Turn(300)]
    assert turns(180, mirror=True) == [Turn(180), Turn(0, True), Turn(180, True)]
    assert len(turns(15)) == 23 and len(turns(15, mirror=True)) == 47


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_quarter_turns_only_move_pixels(quarters, mirrored):
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    expected = torch.rot90(image.flip(-1) if mirrored else image, quarters, (-2, -1))
    torch.testing.assert_close(turn(image, [Turn(90.0 * quarters, mirrored)]), expected, atol=1e-4, rtol=0)


def test_the_border_is_continued_into_the_corners():
    image = torch.full((1, 3, 20, 20), 0.25)
    image[..., 5:15, 5:15] = 1.0
    turned = turn(image, [Turn(45.0)])[0, 0]
    assert turned[[0, 0, -1, -1], [0, -1, 0, -1]].numpy() == pytest.approx(0.25, abs=1e-5)
    assert turned[10, 10] == pytest.approx(1.0)


def test_each_shot_has_its_copies_in_the_order_of_angles_in_every_run():
    shots = {0: ["a", "b"], 1: ["b", "a"]}
    wanted = requests(shots, 3, 0, ("d", "c"))
    pictures = {"a": picture(seed=1), "b": picture(seed=2)}
    parents = np.stack([pictures[request.parent] for request in wanted])
    added = augment(parents, wanted, "rotations", turns(90))
    assert added.parent == ["a", "b"] * 3 + ["b", "a"] * 3
    assert len(added.images) == 6  # what both runs have is one picture
    for row, (name, quarters) in enumerate(zip(added.parent, [1, 1, 2, 2, 3, 3] * 2, strict=True)):
        expected = np.rot90(pictures[name], quarters).astype(int)
        assert np.abs(added.pictures([row])[0] - expected).max() <= 1
    assert added.accepted.all() and (added.distance > 0.1).all()


def test_copies_do_not_depend_on_the_seed():
    first, second = (
        augment(picture()[None].repeat(4, 0), requests({0: ["a"]}, 4, seed, ()), "rotations", turns(72))
        for seed in (0, 1)
    )
    assert (first.images == second.images).all()


def test_more_copies_than_there_are_turns():
    wanted = requests({0: ["a"]}, 4, 0, ())
    with pytest.raises(UserError, match="rotations: expected at most 3 copies of an image, found 4"):
        augment(picture()[None].repeat(4, 0), wanted, "rotations", turns(90))


def test_a_recipe_makes_all_copies_unless_it_names_fewer():
    assert recipe()["images_per_shot"] == {"one_shot": 23, "few_shot": 23, "full_shot": 23}
    given = recipe(angles=45, mirror=True, images_per_shot={"few_shot": 4, "full_shot": 0})
    assert given["images_per_shot"] == {"one_shot": 15, "few_shot": 4, "full_shot": 0}
    assert recipe()["rotations"] == "always"


def test_other_recipes_have_none_of_the_keys():
    sets = resolve({}, DEFAULT)["training_sets"]
    for name in ("original", "augmented_sharpen", "generated"):
        assert {"angles", "mirror", "rotations"}.isdisjoint(sets[name])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"angles": 0}, r"training_sets.x.angles: expected at least 1, found 0"),
        ({"angles": 1e-9}, r"training_sets.x.angles: expected at least 1, found 1e-09"),
        ({"angles": 200}, r"training_sets.x.angles: expected at most 180, found 200"),
        ({"angles": "all"}, r"training_sets.x.angles: expected a value of type number, found 'all'"),
        ({"mirror": 1}, r"training_sets.x.mirror: expected a value of type boolean, found 1"),
        ({"rotations": "never"}, r"training_sets.x.rotations: expected one of \['always', 'auto'\], found 'never'"),
        (
            {"images_per_shot": {"one_shot": 40}},
            r"training_sets.x.images_per_shot.one_shot: expected at most the 23 turned copies .*, found 40",
        ),
    ],
)
def test_mistakes_are_named(given, sentence):
    with pytest.raises(UserError, match=sentence):
        recipe(**given)


def test_a_recipe_that_augments_nothing_turns_nothing():
    for method in ("unlabelled", "duplicate"):
        given = {"method": method, "strategy": "rotations", "rotations": "auto"}
        assert not turns_of(given) and not asks_for_turning(given)
        with pytest.raises(UserError, match=f"strategy: expected none, as method {method} does not heed it"):
            recipe(method=method)
    for wrong in (None, ["augment"]):
        with pytest.raises(UserError, match=r"training_sets.x.method: expected a value of type string, found"):
            recipe(method=wrong)


def test_chosen_photographs_are_turned_as_often_as_shots():
    chosen = {"method": "unlabelled_generated", "then": "augment", "angles": 90}
    assert recipe(**chosen)["images_per_image"] == 3
    assert recipe(**chosen, images_per_image=2)["images_per_image"] == 2
    assert asks_for_turning(recipe(**chosen, rotations="auto"))
    with pytest.raises(UserError, match="images_per_image: expected at most the 3 turned copies of an image, found 4"):
        recipe(**chosen, images_per_image=4)


def test_candidates_are_turned_where_the_product_turns_unless_a_recipe_says_otherwise():
    left_out = recipe(method="unlabelled", strategy=None)
    assert "turns" not in left_out and turns_candidates(left_out) == "auto"  # added.h5 records what it did before
    assert [
        turns_candidates(recipe(method="unlabelled", strategy=None, turns=word)) for word in ("never", "always")
    ] == [
        "never",
        "always",
    ]
    turned = recipe(method="unlabelled_generated", then="augment", strategy="rotations", angles=90)
    assert turns_candidates(turned) == "auto"
    assert turns_candidates(recipe(rotations="auto")) == "never"
    with pytest.raises(UserError, match=r"x.turns: expected one of \['auto', 'never', 'always'\], found 'yes'"):
        recipe(method="unlabelled", strategy=None, turns="yes")
