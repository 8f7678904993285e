import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variad.core.errors import UserError
from variad.core.seeding import numpy_generator
from variad.datasets.sampling import sample_shots

SCENARIOS = {
    "one_shot": {"shots": 1, "runs": 5},
    "few_shot": {"shots": 5, "runs": 3},
    "full_shot": {"shots": "all", "runs": 2},
}


def manifest(n_train: int) -> pd.DataFrame:
    names = [f"train/good/{number:02}" for number in range(n_train)] + ["test/good/00", "unlabelled/x"]
    return pd.DataFrame({"image_id": names, "split": ["train"] * n_train + ["test", "unlabelled"]})


def chosen(shots: pd.DataFrame, scenario: str, run: int) -> list[str]:
    return list(shots.loc[(shots["scenario"] == scenario) & (shots["run"] == run), "image_id"])


@given(seed=st.integers(0, 2**32), n_train=st.integers(5, 30))
def test_shots_are_nested_and_from_training_normals_only(seed, n_train):
    shots = sample_shots(manifest(n_train), SCENARIOS, seed, "d", "c")
    for scenario, settings in SCENARIOS.items():
        assert set(shots.loc[shots["scenario"] == scenario, "run"]) == set(range(settings["runs"]))
    for run in range(5):
        assert len(chosen(shots, "one_shot", run)) == 1
    for run in range(3):
        assert chosen(shots, "few_shot", run)[:1] == chosen(shots, "one_shot", run)
        assert len(set(chosen(shots, "few_shot", run))) == 5
    for run in range(2):
        assert chosen(shots, "full_shot", run)[:5] == chosen(shots, "few_shot", run)
        assert sorted(chosen(shots, "full_shot", run)) == [f"train/good/{number:02}" for number in range(n_train)]


def test_a_run_is_the_permutation_of_its_own_seed():
    shots = sample_shots(manifest(20), SCENARIOS, 3, "elpv", "mono")
    order = numpy_generator(3, "elpv", "mono", 2).permutation(20)
    assert chosen(shots, "few_shot", 2) == [f"train/good/{number:02}" for number in order[:5]]


def test_runs_categories_data_sets_and_seeds_differ():
    drawn = [
        tuple(chosen(sample_shots(manifest(30), SCENARIOS, seed, dataset, category), "few_shot", run))
        for seed, dataset, category, run in [(0, "d", "c", 0), (0, "d", "c", 1), (1, "d", "c", 0), (0, "e", "c", 0)]
        + [(0, "d", "b", 0)]
    ]
    assert len(set(drawn)) == 5


def test_the_order_of_the_manifest_and_more_runs_change_nothing():
    shuffled = manifest(20).iloc[np.random.default_rng(0).permutation(22)]
    more = {**SCENARIOS, "few_shot": {"shots": 5, "runs": 8}}
    first, second = (
        sample_shots(frame, scenarios, 0, "d", "c")
        for frame, scenarios in ((manifest(20), SCENARIOS), (shuffled, more))
    )
    for run in range(3):
        assert chosen(first, "few_shot", run) == chosen(second, "few_shot", run)


@pytest.mark.parametrize("shots", [6, 0, -1])
def test_impossible_numbers_of_shots(shots):
    with pytest.raises(UserError, match=rf"scenario few_shot, shots: expected from 1 to 5.*d/c, found {shots}\."):
        sample_shots(manifest(5), {"few_shot": {"shots": shots, "runs": 1}}, 0, "d", "c")
