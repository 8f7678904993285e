"""Reverse Distillation against values by hand and straightforward references."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from variad.core.errors import UserError
from variad.detectors.anomaly_map import MapSize, full_size_map
from variad.detectors.interface import DetectorInput, Extractor, create_detector
from variad.detectors.reverse_distillation import ReverseDistillation, describe_encoder

SMALL = {"blocks": (1, 1), "embedding_blocks": 1, "width_factor": 2, "embedding_width_factor": 2, "batch_size": 4}


def features(images: int, seed: int, side: int = 8, rectified: bool = False) -> DetectorInput:
    """Images that share a structure, and differ by noise."""
    common, noise = np.random.default_rng(1234), np.random.default_rng(seed)
    layers = {}
    for name, grid, channels in (("shallow", side, 8), ("deep", (side + 1) // 2, 12)):
        values = common.standard_normal((grid, grid, channels)) + 0.3 * noise.standard_normal(
            (images, grid, grid, channels)
        )
        layers[name] = (np.maximum(values, 0) if rectified else values).astype(np.float32)
    return DetectorInput(layers)


def fitted(images: int, epochs: int = 20, seed: int = 0, **settings) -> ReverseDistillation:
    detector = ReverseDistillation(**{**SMALL, "epochs": epochs, "resolution": 32, **settings})
    detector.fit(features(images, 1), np.random.default_rng(seed))
    return detector


def rows(given: DetectorInput, wanted) -> DetectorInput:
    return DetectorInput({layer: values[wanted] for layer, values in given.features.items()})


def test_training_lowers_the_loss():
    losses = fitted(8, epochs=30).losses
    assert len(losses) == 30
    assert 0 < losses[-1] < 0.4 * losses[0]


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_a_planted_defect_scores_highest_and_is_where_it_was_planted(kind):
    detector = fitted(8, epochs=40, block=kind)
    test = features(6, 2)
    planted = {layer: values.copy() for layer, values in test.features.items()}
    planted["shallow"][3, 1:3, 5:7] *= -1
    scored = detector.score(DetectorInput(planted))
    assert scored.scores.argmax() == 3
    assert scored.scores[3] > 1.2 * np.delete(scored.scores, 3).max()
    row, column = np.unravel_index(scored.maps[3].argmax(), scored.maps[3].shape)
    assert 3 <= row < 14 and 19 <= column < 30  # 4 pixels a position


@pytest.mark.parametrize("images", [1, 2, 5])
def test_small_sets_and_an_incomplete_batch_of_one_train(images):
    detector = fitted(images, epochs=5)
    scored = detector.score(features(3, 2))
    assert np.isfinite(scored.scores).all() and np.isfinite(detector.losses).all()
    assert scored.maps.shape == (3, 32, 32) and len(set(scored.scores)) == 3


def test_an_image_is_scored_alike_alone_and_among_others():
    detector, test = fitted(6), features(20, 2)
    together = detector.score(test)
    for row in (0, 7, 19):
        alone = detector.score(rows(test, slice(row, row + 1)))
        # another number of images may be summed in another order, in each of some ten layers
        np.testing.assert_allclose(alone.scores, together.scores[row], rtol=1e-5)
        np.testing.assert_allclose(alone.maps[0], together.maps[row], rtol=1e-5, atol=1e-6)
    turned = detector.score(rows(test, np.arange(20)[::-1]))
    np.testing.assert_allclose(turned.scores[::-1], together.scores, rtol=1e-5)
    assert detector.score(rows(test, slice(0))).maps.shape == (0, 32, 32)


@pytest.mark.usefixtures("has_bfloat16")
def test_the_same_seed_gives_the_same_bytes(tmp_path):
    written = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(3)  # whatever others drew before
        fitted(5, epochs=3, seed=seed, precision="bfloat16").save(tmp_path / name)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1] != written[2]


def test_bfloat16_finds_what_float32_finds(has_bfloat16):
    test = features(12, 2)
    half, full = (fitted(8, epochs=30, precision=p).score(test) for p in ("bfloat16", "float32"))
    np.testing.assert_allclose(half.maps.mean(), full.maps.mean(), rtol=0.1)
    assert np.array_equal(half.maps, full.maps) != has_bfloat16
    assert half.scores.dtype == half.maps.dtype == np.float32


def test_score_is_the_maximum_of_the_map_that_the_workflow_smooths():
    detector, test = fitted(4), features(3, 2)
    scored = detector.score(test)
    smooth = [full_size_map(one, MapSize(32, 32, 32, sigma=detector.map_sigma)).max() for one in scored.maps]
    np.testing.assert_allclose(scored.scores, smooth, rtol=1e-5)


def test_a_saved_model_scores_the_same(tmp_path):
    extractor = Extractor("resnet18", ("layer1", "layer2"), None, 48, 40)
    detector, test = fitted(4, resolution=None, extractor=extractor, patience=3), features(3, 2)
    detector.save(tmp_path / "model.safetensors")
    loaded = ReverseDistillation.load(tmp_path / "model.safetensors")
    assert loaded.settings == detector.settings and loaded.settings["resolution"] == 40
    assert loaded.encoder == detector.encoder
    for ours, theirs in zip(detector.score(test), loaded.score(test), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["detector"])["encoder"]["channels"] == [8, 12]
        assert not any("running_mean" in name for name in file.keys())  # noqa: SIM118, batch normalisation is folded


def test_resolution_without_setting_or_extractor_is_four_pixels_a_position():
    assert fitted(2, epochs=1, resolution=None).score(features(1, 2)).maps.shape == (1, 32, 32)
    assert fitted(2, epochs=1, resolution=50).score(features(1, 2)).maps.shape == (1, 50, 50)


def test_a_training_ends_at_its_last_step_or_on_a_plateau():
    assert len(fitted(5, epochs=10, max_steps=5).losses) == 3  # two steps an epoch, the last one cut
    assert len(fitted(5, epochs=200, patience=1).losses) < 200


def test_the_encoder_is_described_by_its_training_features():
    described = describe_encoder(features(2, 0, side=7, rectified=True).features, 2)
    assert (described.channels, described.strides, described.rectified) == ((8, 12), (2,), (True, True))
    given = features(2, 0).features
    given["deep"] = np.abs(given["deep"])
    assert describe_encoder(given, 2) == replace(described, rectified=(False, True))


def test_grids_that_are_no_multiples_of_each_other_work():
    odd = features(2, 0, side=7)
    detector = ReverseDistillation(**SMALL, epochs=2, resolution=28)
    detector.fit(odd, np.random.default_rng(0))
    assert detector.score(odd).maps.shape == (2, 28, 28)


def test_unsuitable_layers_are_named():
    with pytest.raises(UserError, match=r"blocks: expected one number for each layer \(shallow, deep\), found 3"):
        describe_encoder(features(1, 0).features, 3)
    with pytest.raises(UserError, match=r"at least 3 x 3 positions in the deepest layer, found 2 x 2 in deep"):
        describe_encoder(features(1, 0, side=4).features, 2)
    turned = dict(reversed(features(1, 0).features.items()))
    with pytest.raises(UserError, match=r"found 4 x 4 positions in deep before 8 x 8 in shallow"):
        describe_encoder(turned, 2)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 0, "a whole number of at least 1, found 0"),
        ("epochs", True, "a whole number of at least 1, found True"),
        ("max_steps", 1.5, "a whole number of at least 1, or null, found 1.5"),
        ("batch_size", "16", "a whole number of at least 1, found '16'"),
        ("learning_rate", 0, "a number above 0, found 0"),
        ("block", "wide", "basic or bottleneck, found 'wide'"),
        ("blocks", [2, 0], r"one for each layer, the deepest first, found \[2, 0\]"),
        ("precision", "float16", "one of float32, tf32, bfloat16, found 'float16'"),
        ("patience", 0, "or null, found 0"),
    ],
)
def test_bad_settings_are_named(name, value, expected):
    with pytest.raises(UserError, match=rf"reverse_distillation.{name}: expected .*{expected}"):
        ReverseDistillation(**{name: value})


def test_it_is_registered():
    extractor = Extractor("efficientnet_lite0", ("stage3", "stage5"), None, 64, None)
    detector = create_detector("reverse_distillation", {"blocks": [1, 1]}, extractor)
    assert isinstance(detector, ReverseDistillation) and not detector.uses_images
    with pytest.raises(UserError, match="expected settings that it knows"):
        create_detector("reverse_distillation", {"epoch": 1}, extractor)
