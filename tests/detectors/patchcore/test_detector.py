"""PatchCore against straightforward references."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import cdist, pdist
from torch.nn import functional

from variad.core.errors import UserError
from variad.detectors import patchcore_gpu
from variad.detectors.anomaly_map import MapSize, bilinear_matrix, full_size_map, gaussian_matrix
from variad.detectors.interface import DetectorInput, Extractor, create_detector
from variad.detectors.memory_bank import embed_patches, greedy_coreset, nearest, random_projection
from variad.detectors.patchcore import PatchCore


def features(images: int, seed: int, side: int = 6) -> DetectorInput:
    generator = np.random.default_rng(seed)
    return DetectorInput(
        {
            "shallow": generator.normal(3, 1, (images, side, side, 5)).astype(np.float32),
            "deep": generator.normal(0, 2, (images, side // 2, side // 2, 7)).astype(np.float32),
        }
    )


def naive_coreset(points: np.ndarray, count: int, first: int) -> list[int]:
    picks = [first]
    while len(picks) < count:
        distance = np.linalg.norm(points[:, None] - points[picks][None], axis=2).min(axis=1)
        distance[picks] = -1
        picks.append(int(distance.argmax()))
    return picks


def test_coreset_picks_what_the_naive_greedy_algorithm_picks():
    points = np.random.default_rng(0).normal(5, 1, (200, 8))
    first = int(np.random.default_rng(3).integers(200))
    expected = naive_coreset(points, 40, first)
    assert greedy_coreset(points, 40, np.random.default_rng(3)).tolist() == expected
    assert patchcore_gpu.greedy_coreset(torch.from_numpy(points), 40, np.random.default_rng(3)).tolist() == expected


def test_coreset_of_duplicates_takes_no_point_twice():
    assert sorted(greedy_coreset(np.ones((10, 4)), 10, np.random.default_rng(0)).tolist()) == list(range(10))
    on_gpu = patchcore_gpu.greedy_coreset(torch.ones(40, 4), 40, np.random.default_rng(0))
    assert sorted(on_gpu.tolist()) == list(range(40))


def test_of_five_copies_of_every_point_the_coreset_is_that_of_the_points():
    """So a pile in which each photograph lies five times makes the bank of one, from the same first pick."""
    points = np.random.default_rng(0).normal(5, 1, (200, 8))
    picks = greedy_coreset(np.tile(points, (5, 1)), 40, np.random.default_rng(3)) % 200
    assert picks.tolist() == naive_coreset(points, 40, int(picks[0]))
    whole = greedy_coreset(np.tile(points, (5, 1)), 200, np.random.default_rng(3)) % 200
    assert sorted(whole.tolist()) == list(range(200))


def test_projection_keeps_few_dimensions_and_preserves_distances_on_average():
    points = np.random.default_rng(1).standard_normal((50, 600))
    assert random_projection(points, 600, np.random.default_rng(0)) is points
    projected = random_projection(points, 128, np.random.default_rng(2))
    assert projected.shape == (50, 128)
    assert (pdist(projected) / pdist(points)).mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("code", ["of a CPU", "of a GPU"])
def test_neighbours_equal_brute_force(code):
    draw = np.random.default_rng(4)
    bank, queries = (
        (draw.standard_normal((count, 24)) + 50).astype(np.float32)  # an offset that makes the expanded square cancel
        for count in (300, 70)
    )
    exact = cdist(queries.astype(float), bank.astype(float))
    if code == "of a CPU":
        distance, index = nearest(queries, bank, 9)
    else:
        found = patchcore_gpu.GpuBank(bank, "cpu").nearest(torch.from_numpy(queries), 9)
        distance, index = (values.numpy() for values in found)
    np.testing.assert_array_equal(index, exact.argsort(axis=1)[:, :9])
    np.testing.assert_allclose(distance, np.sort(exact, axis=1)[:, :9], atol=1e-5, rtol=0)


def test_embedding_averages_over_three_by_three_and_concatenates():
    given = features(2, 0).features
    embedded = embed_patches(given)
    assert embedded.shape == (2, 6, 6, 12)
    middle = given["shallow"][1, 2:5, 1:4].mean(axis=(0, 1))
    np.testing.assert_allclose(embedded[1, 3, 2, :5], middle, rtol=1e-5)
    deep = functional.avg_pool2d(torch.from_numpy(given["deep"]).permute(0, 3, 1, 2), 3, 1, 1)
    large = functional.interpolate(deep, (6, 6), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(embedded[..., 5:], large.permute(0, 2, 3, 1).numpy(), atol=1e-5)


def reference_scores(detector: PatchCore, images: DetectorInput) -> np.ndarray:
    """Image scores in float64 and plain loops, from the paper's equations 6 and 7."""
    bank = detector.memory_bank.astype(float)
    scores = []
    for patches in embed_patches(images.features).astype(float):
        distances = np.linalg.norm(patches.reshape(-1, 1, 12) - bank[None], axis=2)
        worst = distances.min(axis=1).argmax()
        closest = distances[worst].argmin()
        support = np.linalg.norm(bank - bank[closest], axis=1).argsort()[: detector.neighbours]
        weight = 1 - np.exp(distances[worst, closest]) / np.exp(distances[worst, support]).sum()
        scores.append(weight * distances[worst, closest] if detector.neighbours > 1 else distances[worst, closest])
    return np.array(scores)


@pytest.mark.parametrize("neighbours", [1, 9])
@pytest.mark.parametrize("training_images", [1, 2, 8])
def test_scores_equal_the_reference(neighbours, training_images):
    detector = PatchCore(coreset_fraction=0.5, neighbours=neighbours)
    detector.fit(features(training_images, 0), np.random.default_rng(0))
    test = features(5, 1)
    scored = detector.score(test)
    np.testing.assert_allclose(scored.scores, reference_scores(detector, test), atol=1e-5, rtol=0)
    exact = cdist(embed_patches(test.features).reshape(-1, 12).astype(float), detector.memory_bank.astype(float))
    np.testing.assert_allclose(scored.maps, exact.min(axis=1).reshape(5, 6, 6), atol=1e-5, rtol=0)


def test_an_image_is_scored_alike_alone_and_among_others():
    detector = PatchCore(coreset_fraction=0.5)
    detector.fit(features(4, 0), np.random.default_rng(0))
    test = features(6, 1)
    together = detector.score(test).scores
    for row in range(6):
        alone = detector.score(DetectorInput({layer: maps[row : row + 1] for layer, maps in test.features.items()}))
        np.testing.assert_allclose(alone.scores, together[row], rtol=1e-6)


@pytest.mark.parametrize("neighbours", [1, 9])
def test_the_code_for_a_gpu_does_what_that_for_a_cpu_does(neighbours, monkeypatch):
    training, test = features(6, 0), features(5, 1)
    detector = PatchCore(coreset_fraction=0.4, projection=8, neighbours=neighbours)
    detector.fit(training, np.random.default_rng(2))
    bank = patchcore_gpu.fill_bank(training.features, detector._bank_size, 8, np.random.default_rng(2), "cpu")
    # the same patches; libraries of linear algebra add up in an order of their own, by processor
    np.testing.assert_allclose(bank, detector.memory_bank, rtol=0, atol=1e-6)
    monkeypatch.setattr(patchcore_gpu, "_BOUNDS", 30 * len(bank))  # queries in several parts
    wanted, found = detector.score(test), patchcore_gpu.GpuBank(bank, "cpu").score(test.features, neighbours)
    np.testing.assert_allclose(found.maps, wanted.maps, atol=1e-5, rtol=0)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5, rtol=0)


def test_training_patches_have_distance_zero_to_a_whole_bank():
    training = features(2, 0)
    detector = PatchCore(coreset_fraction=1.0)
    detector.fit(training, np.random.default_rng(0))
    np.testing.assert_array_equal(detector.score(training).maps, 0)


def test_bank_size_follows_fraction_and_limit():
    for limit, expected in ((None, 36), (10, 10)):
        detector = PatchCore(coreset_fraction=0.5, coreset_limit=limit)
        detector.fit(features(2, 0), np.random.default_rng(0))
        assert len(detector.memory_bank) == expected


def test_a_saved_model_scores_the_same(tmp_path):
    detector = PatchCore(coreset_fraction=0.3, neighbours=5)
    detector.fit(features(3, 0), np.random.default_rng(0))
    detector.save(tmp_path / "model.safetensors")
    loaded = PatchCore.load(tmp_path / "model.safetensors")
    test = features(4, 1)
    np.testing.assert_array_equal(loaded.score(test).scores, detector.score(test).scores)
    assert loaded.settings == detector.settings


def test_bad_settings_are_named():
    with pytest.raises(UserError, match=r"coreset_fraction: expected a value in \(0, 1\], found 2"):
        PatchCore(coreset_fraction=2)
    with pytest.raises(UserError, match="expected settings that it knows"):
        create_detector("patchcore", {"corset": 1}, Extractor("efficientnet_lite0", ("stage3",), None, 64, None))


def test_matrices_equal_torchs_interpolation():
    values = np.random.default_rng(0).standard_normal((7, 9))
    for height, width in ((7, 9), (20, 31), (5, 4)):
        expected = functional.interpolate(
            torch.from_numpy(values)[None, None], (height, width), mode="bilinear", align_corners=False
        )[0, 0].numpy()
        np.testing.assert_allclose(bilinear_matrix(7, height) @ values @ bilinear_matrix(9, width).T, expected)


def test_smoothing_equals_scipys():
    values = np.random.default_rng(0).standard_normal(50)
    expected = gaussian_filter1d(values, 4.0, mode="mirror", truncate=4.0)
    np.testing.assert_allclose(gaussian_matrix(50, 4.0) @ values, expected, rtol=1e-10)
    np.testing.assert_allclose(gaussian_matrix(12, 4.0).sum(axis=1), 1)


def test_map_has_its_peak_where_the_patch_is_and_keeps_constants():
    patches = np.zeros((7, 7), np.float32)
    patches[1, 5] = 1
    full = full_size_map(patches, MapSize(112, 56, 56, sigma=4))
    row, column = np.unravel_index(full.argmax(), full.shape)
    assert abs(row - 23.5) <= 1 and abs(column - 43.5) <= 1
    np.testing.assert_allclose(
        full_size_map(np.full((7, 7), 3, np.float32), MapSize(30, 40, 56, sigma=4)), 3, rtol=1e-6
    )


def test_cropped_border_takes_the_nearest_seen_value():
    patches = np.random.default_rng(0).random((4, 4)).astype(np.float32)
    full = full_size_map(patches, MapSize(64, 64, resolution=64, crop=32, sigma=4))
    np.testing.assert_array_equal(full[:16, 20], full[16, 20])
    np.testing.assert_array_equal(full[48:, 48:], full[47, 47])
    np.testing.assert_allclose(full[16:48, 16:48], full_size_map(patches, MapSize(32, 32, 32, sigma=4)), rtol=1e-5)


def test_patchcore_starts_without_torch():
    code = "import sys, variad.detectors.patchcore, variad.detectors.scoring; assert 'torch' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": "workflow/lib"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
