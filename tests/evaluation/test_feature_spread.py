"""Diversity and novelty from pooled features, by hand."""

import h5py
import numpy as np
import pytest

from variad.evaluation.spread import (
    distance_to_others,
    distances,
    mean_pairwise_distance,
    nearest,
    novelty_of_unseen,
    pooled_features,
)

# corners of a rectangle, 3 by 4, so that its diagonals are 5
CORNERS = np.array([[0.0, 0], [3, 0], [3, 4], [0, 4]])
ALL = np.ones(4, bool)


def test_features_are_averaged_over_positions_and_each_layer_scaled_to_one_length(tmp_path):
    path = tmp_path / "features.h5"
    fine = np.zeros((2, 2, 2, 2), np.float32)
    fine[0, ..., 0], fine[0, 0, 0, 1] = 3, 16  # means 3 and 4, so 0.6 and 0.8
    fine[1, ..., 1] = 100
    coarse = np.array([[0, 7], [5, 0]], np.float32).reshape(2, 1, 1, 2)
    with h5py.File(path, "w") as file:
        file["stage2"], file["stage1"], file["image_id"] = coarse, fine, ["a", "b"]
    expected = np.array([[0.6, 0.8, 0, 1], [0, 1, 1, 0]]) / np.sqrt(2)
    np.testing.assert_allclose(pooled_features(path), expected, atol=1e-7)
    np.testing.assert_allclose(pooled_features(path, [1, 0, 1]), expected[[1, 0, 1]], atol=1e-7)
    assert pooled_features(path, []).shape == (0, 4)


def test_rows_are_read_in_chunks_and_stay_in_order(tmp_path):
    path = tmp_path / "features.h5"
    values = np.random.default_rng(0).random((70, 1, 1, 3)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["stage1"] = values
    flat = values[:, 0, 0].astype(float)
    np.testing.assert_allclose(pooled_features(path), flat / np.linalg.norm(flat, axis=1, keepdims=True), rtol=1e-6)


def test_distances_and_the_nearest():
    between = distances(CORNERS[:3], CORNERS[:1])
    np.testing.assert_allclose(between, [[0], [3], [5]])
    np.testing.assert_allclose(nearest(distances(CORNERS, CORNERS[[0, 2]])), [0, 3, 0, 3])
    assert np.isnan(nearest(np.empty((2, 0)))).all()


def test_mean_distance_to_the_others():
    np.testing.assert_allclose(distance_to_others(CORNERS, ALL), 4)  # (3 + 4 + 5) / 3
    assert mean_pairwise_distance(CORNERS) == pytest.approx(4)
    counted = np.array([True, True, False, False])
    np.testing.assert_allclose(distance_to_others(CORNERS, counted), [3, 3, 4.5, 4.5])


def test_its_mean_is_the_mean_over_pairs():
    features = np.random.default_rng(0).random((7, 5))
    pairs = [np.linalg.norm(features[i] - features[j]) for i in range(7) for j in range(i)]
    assert mean_pairwise_distance(features) == pytest.approx(np.mean(pairs))


def test_repetitions_have_neither_spread_nor_novelty():
    features = np.repeat(np.random.default_rng(0).random((1, 9)), 3, axis=0)
    assert distance_to_others(features, np.ones(3, bool)).tolist() == [0, 0, 0]
    assert nearest(distances(features, features[:1])).tolist() == [0, 0, 0]


def test_one_image_alone_has_no_diversity():
    assert np.isnan(distance_to_others(CORNERS[:1], ALL[:1])).all()
    assert np.isnan(mean_pairwise_distance(CORNERS[:1])) and np.isnan(mean_pairwise_distance(CORNERS[:0]))


def test_novelty_of_real_images_leaves_each_shot_itself_out():
    assert novelty_of_unseen(CORNERS, [0]) == pytest.approx((3 + 5 + 4) / 3)
    assert novelty_of_unseen(CORNERS, [0, 1]) == pytest.approx((3 + 3 + 4 + 4) / 4)
    assert novelty_of_unseen(CORNERS, [0, 1, 2, 3]) == pytest.approx(3)
    assert np.isnan(novelty_of_unseen(CORNERS[:1], [0]))
