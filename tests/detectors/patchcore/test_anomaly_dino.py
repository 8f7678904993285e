"""PatchCore with AnomalyDINO's settings, against the paper's definitions in plain loops."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from variad.core.errors import UserError
from variad.detectors import patchcore_gpu
from variad.detectors.foreground import foreground
from variad.detectors.interface import DetectorInput
from variad.detectors.memory_bank import embed_patches, spread, unit_length
from variad.detectors.patchcore import PatchCore

SETTINGS = {"coreset_fraction": 1, "neighbourhood": 1, "distance": "cosine", "top_fraction": 0.01}


def tokens(images: int, seed: int, side: int = 16, defect: bool = False) -> DetectorInput:
    """An object of 8 x 8 patches in the middle of a background, in one layer."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0, 1, (images, side, side, 6)) + [8, 0, 0, 0, 0, 0]
    values[:, 4:12, 4:12] += [0, 60, 0, 0, 0, 0]
    if defect:
        values[:, 6:8, 6:9] += [0, 0, 0, 40, 0, 0]
    return DetectorInput({"blocks.11": values.astype(np.float32)})


def fitted(seed: int = 0, **settings) -> PatchCore:
    detector = PatchCore(**{**SETTINGS, **settings})
    detector.fit(tokens(2, seed), np.random.default_rng(0))
    return detector


def cosine_distances(images: DetectorInput, training: DetectorInput) -> np.ndarray:
    given, normal = (part.features["blocks.11"].reshape(-1, 6).astype(float) for part in (images, training))
    return cdist(given, normal, "cosine").min(axis=1).reshape(len(images.features["blocks.11"]), -1)


def test_map_and_score_are_the_papers():
    test = tokens(3, 1, defect=True)
    scored = fitted().score(test)
    expected = cosine_distances(test, tokens(2, 0))
    np.testing.assert_allclose(scored.maps.reshape(3, -1), expected, atol=2e-6)
    # a hundredth of 256 patches, rounded down: the mean of the two farthest
    np.testing.assert_allclose(scored.scores, np.sort(expected, axis=1)[:, -2:].mean(axis=1), atol=2e-6)
    assert scored.scores.dtype == scored.maps.dtype == np.float32


@pytest.mark.parametrize("fraction, most", [(0.001, 1), (0.5, 128), (1, 256)])
def test_the_farthest_part_of_the_patches(fraction, most):
    scored = fitted(top_fraction=fraction).score(tokens(1, 1))
    expected = np.sort(scored.maps.reshape(-1))[-most:].mean()
    assert scored.scores[0] == pytest.approx(expected, rel=1e-5)


def test_a_whole_bank_holds_all_patches_as_they_are():
    detector = fitted(distance="euclidean")
    np.testing.assert_array_equal(detector.memory_bank, tokens(2, 0).features["blocks.11"].reshape(-1, 6))


def test_lengths_of_features_do_not_matter_to_the_cosine():
    test, detector = tokens(2, 1, defect=True), fitted()
    scaled = DetectorInput({"blocks.11": test.features["blocks.11"] * np.float32(7)})
    np.testing.assert_allclose(detector.score(scaled).maps, detector.score(test).maps, atol=1e-6)
    assert not np.allclose(
        fitted(distance="euclidean").score(scaled).scores, fitted(distance="euclidean").score(test).scores
    )


def test_unit_length_by_hand():
    found = unit_length(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_without_averaging_a_patch_is_its_token():
    values = tokens(1, 0).features
    np.testing.assert_array_equal(embed_patches(values, 1), values["blocks.11"])
    assert not np.allclose(embed_patches(values), values["blocks.11"])


def test_masked_patches_are_zero_and_the_others_as_without_mask():
    test = tokens(2, 1, defect=True)
    plain, masked = fitted().score(test), fitted(mask="test").score(test)
    shown = foreground(test.features["blocks.11"], 10)
    assert shown[:, 4:12, 4:12].all() and 0.3 < shown.mean() < 0.5
    np.testing.assert_array_equal(masked.maps[~shown], 0)
    np.testing.assert_array_equal(masked.maps[shown], plain.maps[shown])


def test_what_is_odd_in_the_background_counts_without_a_mask_only():
    clean, test = tokens(1, 1), tokens(1, 1)
    test.features["blocks.11"][0, 0, 0] = [-8, 0, 0, 0, 0, 0]
    assert fitted().score(test).scores[0] > 5 * fitted().score(clean).scores[0]
    for mask in ("test", "all"):
        detector = fitted(mask=mask)
        assert detector.score(test).scores[0] == pytest.approx(detector.score(clean).scores[0], rel=1e-3)


def test_patches_of_the_background_join_the_bank_unless_all_is_masked():
    shown = foreground(tokens(2, 0).features["blocks.11"], 10)
    assert len(fitted(mask="none").memory_bank) == len(fitted(mask="test").memory_bank) == 512
    np.testing.assert_allclose(
        fitted(mask="all").memory_bank, unit_length(tokens(2, 0).features["blocks.11"][shown]), rtol=1e-6
    )


def test_masks_and_the_papers_score_go_together():
    """Equation 7 finds the farthest patch of the object, and its neighbour in the bank, at the right place."""
    test = tokens(3, 1, defect=True)
    settings = {"top_fraction": None, "distance": "euclidean"}
    plain, masked = fitted(**settings).score(test), fitted(**settings, mask="test").score(test)
    assert all(4 <= place < 12 for one in plain.maps for place in np.unravel_index(one.argmax(), one.shape))
    np.testing.assert_allclose(masked.scores, plain.scores, rtol=1e-6)


def test_an_image_is_scored_alike_alone_and_among_others():
    test, detector = tokens(4, 1, defect=True), fitted(mask="all")
    together = detector.score(test)
    for row in range(4):
        alone = detector.score(test.rows(slice(row, row + 1)))
        np.testing.assert_allclose(alone.scores, together.scores[row : row + 1], rtol=1e-5)


def test_the_defect_is_found():
    detector = fitted(mask="test")
    assert detector.score(tokens(5, 1, defect=True)).scores.min() > detector.score(tokens(5, 2)).scores.max()


def test_a_saved_model_keeps_its_settings(tmp_path):
    detector = fitted(mask="all", mask_threshold=12.5)
    detector.save(tmp_path / "model.safetensors")
    loaded = PatchCore.load(tmp_path / "model.safetensors")
    test = tokens(2, 1)
    np.testing.assert_array_equal(loaded.score(test).maps, detector.score(test).maps)
    assert loaded.mask_threshold == 12.5 and loaded.settings == detector.settings


def test_spread_puts_values_back_in_order():
    found = spread(np.array([5, 6, 7], np.float32), np.array([[True, False], [True, True]]))
    np.testing.assert_array_equal(found, [[5, 0], [6, 7]])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"neighbourhood": 5}, r"neighbourhood: expected 3, or 1 for no averaging, found 5"),
        ({"distance": "manhattan"}, "distance: expected one of euclidean, cosine, found 'manhattan'"),
        ({"top_fraction": 0}, r"top_fraction: expected null or a value in \(0, 1\], found 0"),
        ({"top_fraction": True}, r"top_fraction: expected null or a value in \(0, 1\], found True"),
        ({"mask": True}, "mask: expected one of none, test, all, found True"),
        ({"mask_threshold": -1}, "mask_threshold: expected a number of at least 0, found -1"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(UserError, match=message):
        PatchCore(**settings)


@pytest.mark.parametrize("mask", ["none", "test", "all"])
@pytest.mark.parametrize("settings", [{}, {"top_fraction": None}, {"distance": "euclidean", "neighbourhood": 3}])
def test_the_code_for_a_gpu_scores_alike(settings, mask):
    detector = fitted(**settings, mask=mask)
    training, test = tokens(2, 0), tokens(3, 1, defect=True)
    shown = detector._shown(training.features, mask == "all")
    bank = patchcore_gpu.fill_bank(
        training.features, detector._bank_size, 128, np.random.default_rng(0), "cpu", detector.choices, shown
    )
    np.testing.assert_allclose(bank, detector.memory_bank, rtol=1e-5, atol=1e-5)
    shown = detector._shown(test.features, mask != "none")
    found = patchcore_gpu.GpuBank(bank, "cpu").score(test.features, detector.neighbours, detector.choices, shown)
    wanted = detector.score(test)
    np.testing.assert_allclose(found.maps, wanted.maps, rtol=1e-3, atol=2e-6)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-3, atol=2e-6)
