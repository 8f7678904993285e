"""What a config may say of unlabelled candidates: pools of data sets, and the keys of the recipes that choose."""

import pytest

from variad.core.errors import UserError
from variad.generation.settings import as_many_as_pool, requests
from variad.study.configuration import load_yaml, resolve
from variad.study.references import check_pool

DEFAULT = "config/config.yaml"
FOLDER = {"adapter": "folder", "path": "photos", "categories": {"lid": {"class_name": "lid"}}}


def config_with(pool=None, name="unlabelled_10", in_study=True, **keys):
    sets = {"original": {"method": "none"}, name: {"method": "unlabelled", **keys}}
    study = {"scenarios": ["one_shot"], "training_sets": list(sets), "detectors": ["patchcore"]}
    mine = {"mine": {**FOLDER, "pool": pool}, "other": {**FOLDER, "pool": {"good": 5}, "in_study": in_study}}
    return {"datasets": mine, "training_sets": {**load_yaml(DEFAULT)["training_sets"], **sets}, "study": study}


def test_a_pool_is_completed_and_a_recipe_keeps_what_it_says():
    config = resolve(config_with({"good": 12, "defective": 0.25}, contamination=0.1, size=20), DEFAULT)
    assert config["datasets"]["mine"]["pool"] == {"good": 12, "defective": 0.25, "defects": None, "seed": 0}
    recipe = config["training_sets"]["unlabelled_10"]
    assert (recipe["contamination"], recipe["size"]) == (0.1, 20)
    assert {"contamination", "size", "transductive"}.isdisjoint(config["training_sets"]["augmented_sharpen"])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"pool": {}}, "datasets.mine.pool: expected the key 'good', found none."),
        ({"pool": {"good": 0}}, "datasets.mine.pool.good: expected at least 1, found 0."),
        ({"pool": {"good": 5, "defective": 1}}, "datasets.mine.pool.defective: expected less than 1, found 1."),
        ({"pool": {"good": 5, "defective": -0.1}}, "datasets.mine.pool.defective: expected at least 0, found -0.1."),
        ({"pool": {"good": 5, "defects": []}}, "datasets.mine.pool.defects: expected at least 1 entries, found []."),
        ({"contamination": 1.0}, "training_sets.unlabelled_10.contamination: expected less than 1, found 1.0."),
        ({"size": 0}, "training_sets.unlabelled_10.size: expected at least 1, found 0."),
        (
            {"contamination": 0.1},
            "training_sets.unlabelled_10.contamination: expected none, as data set mine has no pool, found 0.1.",
        ),
        (
            {"contamination": 0},
            "training_sets.unlabelled_10.contamination: expected none, as data set mine has no pool, found 0.",
        ),
        (
            {"transductive": True},
            "training_sets.unlabelled_10.transductive: expected false, or a name that says so in every table, such as "
            "unlabelled_10_transductive, found true.",
        ),
        (
            {
                "name": "transductive",
                "transductive": True,
                "method": "unlabelled_generated",
                "then": "augment",
                "strategy": "rotations",
                "rotations": "auto",
            },
            "training_sets.transductive.rotations: expected always, as the candidates are test images, which are not "
            "asked whether the product turns, found auto.",
        ),
        (
            {"name": "transductive", "transductive": True, "contamination": 0.1},
            "training_sets.transductive.contamination: expected none, as the candidates are the test images, found "
            "0.1.",
        ),
    ],
)
def test_what_is_refused(given, sentence):
    with pytest.raises(UserError) as refused:
        resolve(config_with(**given), DEFAULT)
    assert str(refused.value) == f"config key {sentence}"


def test_a_ceiling_as_large_as_the_pool_needs_one():
    given = config_with({"good": 5}, name="real")
    given["training_sets"]["real"] = {"method": "real", "as_pool": True}
    assert resolve(given, DEFAULT)["training_sets"]["real"]["as_pool"] is True
    given["datasets"]["mine"]["pool"] = None
    with pytest.raises(UserError, match=r"training_sets.real.as_pool: expected false, as data set mine has no pool"):
        resolve(given, DEFAULT)


@pytest.mark.parametrize(("key", "value", "none"), [("as_pool", True, "false"), ("contamination", 0.1, "none")])
def test_a_training_set_of_predictions_alone_needs_its_pool_too(key, value, none):
    given = config_with()
    recipe = {"method": "real" if key == "as_pool" else "unlabelled", key: value}
    given["training_sets"]["ranking"] = recipe
    config = resolve(given, DEFAULT)  # neither the study nor a prediction uses it
    sentence = f"training_sets.ranking.{key}: expected {none}, as data set mine has no pool, found {value}"
    for check in (lambda: check_pool(config, "ranking", "mine"), lambda: resolve(predicting(given), DEFAULT)):
        with pytest.raises(UserError) as refused:
            check()
        assert str(refused.value) == f"config key {sentence}."
    given["datasets"]["mine"]["pool"] = {"good": 5}
    assert resolve(predicting(given), DEFAULT)["predict"]["training_set"] == "ranking"


def predicting(given):
    return {**given, "predict": {"scenario": "one_shot", "training_set": "ranking", "detector": "patchcore"}}


def test_predictions_of_a_ceiling_need_what_it_draws_from():
    given = config_with()
    given["training_sets"]["ranking"] = {"method": "real"}
    given["scenarios"] = {"one_shot": {"shots": 1, "runs": 2}}
    assert resolve(given, DEFAULT)["training_sets"]["ranking"]["method"] == "real"
    with pytest.raises(UserError, match="scenarios: expected full_shot, whose shots training set 'ranking' of method "):
        resolve(predicting(given), DEFAULT)


def test_how_many_images_a_ceiling_adds():
    """Of 10 training images: 6 beside one shot; beside 5 shots the 5 that are left, and beside all none."""
    training = [str(number) for number in range(10)]

    def added(shots):
        return len(requests({0: training[:shots]}, as_many_as_pool(6, {0: training[:shots]}, training), 0, ("key",)))

    assert [added(shots) for shots in (1, 3, 5, 10)] == [6, 6, 5, 0]


def test_a_name_that_says_transductive_is_enough():
    config = resolve(config_with(name="unlabelled_transductive", transductive=True), DEFAULT)
    assert config["training_sets"]["unlabelled_transductive"]["transductive"] is True


def test_a_data_set_outside_the_study_needs_no_pool():
    given = config_with({"good": 5}, contamination=0.1, in_study=False)
    given["datasets"]["other"]["pool"] = None
    assert resolve(given, DEFAULT)["datasets"]["other"]["pool"] is None
