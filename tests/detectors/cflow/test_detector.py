"""CFlow on small made-up features."""

import math

import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.detectors.anomaly_map import bilinear_matrix
from variad.detectors.cflow import CFlow, enlarge_logarithms
from variad.detectors.interface import DetectorInput, Extractor, create_detector

SMALL = {"fiber_batch_size": 64, "learning_rate": 1e-2, "coupling_blocks": 4, "condition_size": 8}


def features(images: int, seed: int) -> DetectorInput:
    """Two layers whose mean depends on the position, so that the condition matters."""
    draw = np.random.default_rng(seed)
    maps = {}
    for layer, side, channels in (("shallow", 8, 16), ("deep", 4, 24)):
        trend = 3 * np.sin(np.arange(side))[:, None, None]
        maps[layer] = (trend + draw.normal(1, 0.5, (images, side, side, channels))).astype(np.float32)
    return DetectorInput(maps)


def fitted(images: int = 16, epochs: int = 40, seed: int = 0, **settings) -> CFlow:
    detector = CFlow(**SMALL | {"epochs": epochs} | settings)
    detector.fit(features(images, 0), np.random.default_rng(seed))
    return detector


@pytest.fixture(scope="module")
def detector() -> CFlow:
    return fitted()


def test_a_planted_defect_scores_highest_and_is_where_it_was_planted(detector):
    test = features(6, 1)
    test.features["shallow"][4, 5, 2, ::2] += 3
    test.features["deep"][4, 2, 1, ::2] += 3
    scored = detector.score(test)
    assert np.unravel_index(scored.maps.argmax(), scored.maps.shape) == (4, 5, 2)
    assert scored.scores[4] > np.delete(scored.scores, 4).max() + 1


def test_a_feature_of_another_position_is_anomalous(detector):
    """The same vectors, with rows where they never are in training."""
    test = features(1, 1)
    moved = DetectorInput({layer: np.roll(maps, maps.shape[1] // 4, axis=1) for layer, maps in test.features.items()})
    assert detector.score(moved).maps.mean() > detector.score(test).maps.mean() + 0.2


def test_maps_are_the_mean_relative_likelihood_of_the_layers(detector):
    test = features(3, 2)
    relative = []
    for layer, flow in detector.layers.items():
        trained = flow.log_likelihood(torch.from_numpy(features(16, 0).features[layer])).double().max().item()
        value = flow.log_likelihood(torch.from_numpy(test.features[layer])).double().numpy()
        enlarge = bilinear_matrix(value.shape[1], 8)
        relative.append(enlarge @ np.exp(value - trained) @ enlarge.T)
    scored = detector.score(test)
    np.testing.assert_allclose(scored.maps, -np.log(np.mean(relative, axis=0)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(scored.scores, scored.maps.max(axis=(1, 2)))


def test_training_raises_the_likelihood_of_other_normal_images():
    held_out = features(4, 5)
    mean = [
        np.mean(
            [
                flow.log_likelihood(torch.from_numpy(held_out.features[layer])).mean().item()
                for layer, flow in fitted(epochs=epochs).layers.items()
            ]
        )
        for epochs in (1, 5, 40)
    ]
    assert mean[0] < mean[1] < mean[2]
    entropy = 0.5 * math.log(2 * math.pi * math.e * 0.25)
    assert -entropy - 0.5 < mean[2] < -entropy


@pytest.mark.parametrize("images", [1, 2])
def test_one_and_two_images_are_enough(images):
    """Layer ``deep`` of one image has 16 positions, fewer than a fibre."""
    detector = fitted(images, epochs=40)
    test = features(4, 1)
    test.features["shallow"][2, 3, 3] += 6
    scored = detector.score(test)
    assert np.isfinite(scored.maps).all()
    assert scored.scores.argmax() == 2


def test_an_image_is_scored_alike_alone_and_among_others(detector):
    test = features(7, 3)
    together = detector.score(test)
    order = np.array([5, 0, 6])
    chosen = detector.score(DetectorInput({layer: maps[order] for layer, maps in test.features.items()}))
    np.testing.assert_array_equal(chosen.maps, together.maps[order])
    np.testing.assert_array_equal(chosen.scores, together.scores[order])


def test_logarithms_are_interpolated_as_their_values_are():
    values = np.random.default_rng(0).uniform(0.1, 3, (2, 3, 4))
    expected = bilinear_matrix(3, 7) @ values @ bilinear_matrix(4, 6).T
    found = enlarge_logarithms(torch.from_numpy(np.log(values) - 2000), 7, 6)  # exp(-2000) is 0
    np.testing.assert_allclose(found + 2000, np.log(expected), rtol=1e-9, atol=1e-9)


def test_very_unlikely_images_are_told_apart(detector):
    test = features(3, 1)
    for image in range(3):
        for maps in test.features.values():
            maps[image] += 20 * image
    first, second, third = detector.score(test).scores
    assert first < second < third < np.inf


@pytest.mark.usefixtures("has_bfloat16")
def test_same_seed_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fitted(2, 2, seed, precision="bfloat16").save(tmp_path / f"{name}.safetensors")
    found = [(tmp_path / f"{name}.safetensors").read_bytes() for name in "abc"]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_saved_detector_scores_alike(detector, tmp_path):
    detector.save(tmp_path / "model.safetensors")
    loaded = CFlow.load(tmp_path / "model.safetensors")
    assert loaded.settings == detector.settings
    test = features(3, 1)
    np.testing.assert_array_equal(loaded.score(test).maps, detector.score(test).maps)
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_global_random_state_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fitted(1, 1)
    assert torch.rand(1) == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, r"cflow.epochs: expected a whole number of at least 1, found 0"),
        ({"fiber_batch_size": 2.5}, r"cflow.fiber_batch_size: expected a whole number of at least 1, found 2.5"),
        ({"coupling_blocks": True}, r"cflow.coupling_blocks: expected a whole number of at least 1, found True"),
        ({"learning_rate": "fast"}, r"cflow.learning_rate: expected a positive number, found 'fast'"),
        ({"clamp": -1}, r"cflow.clamp: expected a positive number, found -1"),
        ({"warmup_fraction": 1}, r"cflow.warmup_fraction: expected a number in \[0, 1\), found 1"),
        ({"condition_size": 126}, r"cflow.condition_size: expected a multiple of 4, found 126"),
        ({"patience": 0}, r"cflow.patience: expected null or a whole number of at least 1, found 0"),
        ({"schedule": "linear"}, r"cflow.schedule: expected one of cosine, constant, found 'linear'"),
        ({"precision": "float16"}, r"cflow.precision: expected one of float32, tf32, bfloat16, found 'float16'"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(UserError, match=message):
        create_detector("cflow", setting, Extractor("any", ("deep",), None, 64, None))


def test_a_layer_of_one_channel_is_named():
    with pytest.raises(UserError, match="expected at least 2 channels in layer thin, found 1"):
        CFlow(**SMALL).fit(DetectorInput({"thin": np.zeros((1, 2, 2, 1), np.float32)}), np.random.default_rng(0))
