"""PatchCore against straightforward references."""

import numpy as np
import pytest
import torch

from variad.detectors import create_detector, detector_class
from variad.detectors.anomaly_map import gaussian_blur, resize_map, upsample_maps
from variad.detectors.base import DetectorInput
from variad.detectors.coreset import greedy_coreset, random_projection
from variad.detectors.neighbours import _search, nearest
from variad.detectors.patchcore import PatchCore, embed_patches
from variad.errors import UserError


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
    points = torch.from_numpy(np.random.default_rng(0).normal(5, 1, (200, 8)))
    first = int(torch.randint(200, (1,), generator=torch.Generator().manual_seed(3)))
    picks = greedy_coreset(points, 40, torch.Generator().manual_seed(3))
    assert picks.tolist() == naive_coreset(points.numpy(), 40, first)


def test_coreset_of_duplicates_takes_no_point_twice():
    points = torch.ones(10, 4)
    assert sorted(greedy_coreset(points, 10, torch.Generator().manual_seed(0)).tolist()) == list(range(10))


def test_projection_keeps_few_dimensions_and_preserves_distances_on_average():
    points = torch.randn(50, 600, generator=torch.Generator().manual_seed(1))
    assert random_projection(points, 600, torch.Generator()) is points
    projected = random_projection(points, 128, torch.Generator().manual_seed(2))
    assert projected.shape == (50, 128)
    ratio = torch.pdist(projected) / torch.pdist(points)
    assert ratio.mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("search", [nearest, lambda q, b, k: (None, _search(q, b, k))])
def test_neighbours_equal_brute_force(search):
    generator = torch.Generator().manual_seed(4)
    bank = torch.randn(300, 24, generator=generator) + 50  # an offset that makes the expanded square cancel
    queries = torch.randn(70, 24, generator=generator) + 50
    exact = torch.cdist(queries.double(), bank.double()).topk(9, largest=False)
    distance, index = search(queries, bank, 9)
    assert torch.equal(index, exact.indices)
    if distance is not None:
        torch.testing.assert_close(distance.double(), exact.values, atol=1e-5, rtol=0)


def test_embedding_averages_over_three_by_three_and_concatenates():
    given = features(2, 0).features
    embedded = embed_patches(given)
    assert embedded.shape == (2, 6, 6, 12)
    middle = given["shallow"][1, 2:5, 1:4].mean(axis=(0, 1))
    np.testing.assert_allclose(embedded[1, 3, 2, :5], middle, rtol=1e-5)


def reference_scores(detector: PatchCore, images: DetectorInput) -> np.ndarray:
    """Image scores in float64 and plain loops, from the paper's equations 6 and 7."""
    bank = detector.memory_bank.double().numpy()
    scores = []
    for patches in embed_patches(images.features).double().numpy():
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
    detector.fit(features(training_images, 0), torch.Generator().manual_seed(0))
    test = features(5, 1)
    scored = detector.score(test)
    np.testing.assert_allclose(scored.scores, reference_scores(detector, test), atol=1e-5, rtol=0)
    bank = detector.memory_bank.double()
    patches = embed_patches(test.features).double().flatten(0, 2)
    exact = torch.cdist(patches, bank).amin(dim=1).view(5, 6, 6)
    np.testing.assert_allclose(scored.maps, exact.numpy(), atol=1e-5, rtol=0)


def test_an_image_is_scored_alike_alone_and_among_others():
    detector = PatchCore(coreset_fraction=0.5)
    detector.fit(features(4, 0), torch.Generator().manual_seed(0))
    test = features(6, 1)
    together = detector.score(test).scores
    for row in range(6):
        alone = detector.score(DetectorInput({layer: maps[row : row + 1] for layer, maps in test.features.items()}))
        np.testing.assert_allclose(alone.scores, together[row], rtol=1e-6)


def test_training_patches_have_distance_zero_to_a_whole_bank():
    training = features(2, 0)
    detector = PatchCore(coreset_fraction=1.0)
    detector.fit(training, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(detector.score(training).maps, 0)


def test_bank_size_follows_fraction_and_limit():
    for limit, expected in ((None, 36), (10, 10)):
        detector = PatchCore(coreset_fraction=0.5, coreset_limit=limit)
        detector.fit(features(2, 0), torch.Generator().manual_seed(0))
        assert len(detector.memory_bank) == expected


def test_a_saved_model_scores_the_same(tmp_path):
    detector = PatchCore(coreset_fraction=0.3, neighbours=5)
    detector.fit(features(3, 0), torch.Generator().manual_seed(0))
    detector.save(tmp_path / "model.safetensors")
    loaded = PatchCore.load(tmp_path / "model.safetensors")
    test = features(4, 1)
    np.testing.assert_array_equal(loaded.score(test).scores, detector.score(test).scores)
    assert loaded.settings == detector.settings


def test_bad_settings_are_named():
    with pytest.raises(UserError, match=r"coreset_fraction: expected a value in \(0, 1\], found 2"):
        PatchCore(coreset_fraction=2)
    with pytest.raises(UserError, match="expected a method among patchcore, found 'padim'"):
        detector_class("padim")
    with pytest.raises(UserError, match="expected settings that it knows"):
        create_detector("patchcore", {"corset": 1})


def test_blur_keeps_constants_and_sums_to_one():
    torch.testing.assert_close(gaussian_blur(torch.full((1, 1, 40, 40), 3.0), 4.0), torch.full((1, 1, 40, 40), 3.0))
    point = torch.zeros(1, 1, 81, 81)
    point[0, 0, 40, 40] = 1
    blurred = gaussian_blur(point, 4.0)
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    ratio = blurred[0, 0, 40, 44] / blurred[0, 0, 40, 40]
    assert ratio.item() == pytest.approx(np.exp(-0.5), rel=1e-4)


def test_upsampled_map_has_its_peak_where_the_patch_is():
    patches = torch.zeros(1, 7, 7)
    patches[0, 1, 5] = 1
    row, column = divmod(int(upsample_maps(patches, 56)[0].argmax()), 56)
    assert abs(row - 11.5) <= 1 and abs(column - 43.5) <= 1


def test_cropped_border_takes_the_nearest_seen_value():
    full = resize_map(torch.arange(16.0).view(4, 4), 8, 8, image_size=8, crop=4)
    assert full[0, 0] == 0 and full[0, 7] == 3 and full[7, 7] == 15
    torch.testing.assert_close(full[2:6, 2:6], torch.arange(16.0).view(4, 4))
