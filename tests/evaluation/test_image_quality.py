"""SSIM, PSNR and VIF of added images against their parents: by hand, and against other implementations."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from skimage.data import brick, grass
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure, visual_information_fidelity

from variad.core.errors import UserError
from variad.evaluation.image_quality import compare_images, compare_with_parents


@pytest.fixture(scope="module")
def parents():
    crops = [photograph[:64, :64] for photograph in (brick(), grass(), brick()[100:], grass()[100:])]
    return np.stack([np.stack([crop, crop[::-1], crop.T], axis=-1) for crop in crops]).astype(np.uint8)


@pytest.fixture(scope="module")
def images(parents):
    noise = np.random.default_rng(0).normal(0, [[[[3]]], [[[10]]], [[[20]]], [[[40]]]], parents.shape)
    return np.clip(parents + noise, 0, 255).astype(np.uint8)


def test_equal_images(parents):
    found = compare_images(parents, parents)
    np.testing.assert_allclose(found["ssim"], 1, atol=1e-6)
    np.testing.assert_allclose(found["vif"], 1, atol=1e-6)
    assert np.isposinf(found["psnr"]).all() and np.isnan(found["lpips"]).all()


def test_psnr_by_hand():
    dark = np.zeros((1, 48, 48, 3), np.uint8)
    light = dark + np.uint8(51)  # a fifth of the range, so 20 log10(5)
    assert compare_images(light, dark)["psnr"] == pytest.approx(20 * np.log10(5), abs=1e-4)


def test_ssim_and_psnr_are_those_of_scikit_image(images, parents):
    found = compare_images(images, parents)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    full = [
        structural_similarity(ours.astype(float), theirs.astype(float), channel_axis=-1, full=True, **settings)[1]
        for ours, theirs in zip(images, parents, strict=True)
    ]
    # the library counts the margin too, which scikit-image fills in a slightly different way
    np.testing.assert_allclose(found["ssim"], [values.mean() for values in full], atol=3e-3)
    expected = [peak_signal_noise_ratio(*pair, data_range=255) for pair in zip(parents, images, strict=True)]
    np.testing.assert_allclose(found["psnr"], expected, atol=1e-4)


def test_ssim_of_flat_images_by_hand():
    dark, light = (np.full((1, 48, 48, 3), level, np.uint8) for level in (50, 100))
    stable = (0.01 * 255) ** 2
    expected = (2 * 50 * 100 + stable) / (50**2 + 100**2 + stable)
    assert compare_images(light, dark)["ssim"] == pytest.approx(expected, abs=1e-4)


def reference_vif(image, parent, noise=2.0):
    """Sheikh and Bovik's VIF in the pixel domain, of one channel, as their release computes it."""
    above = below = 0.0
    for scale in range(1, 5):
        side = 2 ** (5 - scale) + 1
        line = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * (side / 5) ** 2))
        window, cut = np.outer(line, line) / line.sum() ** 2, slice(side // 2, -(side // 2))

        def smooth(values, window=window, cut=cut):
            return correlate(values, window)[cut, cut]

        if scale > 1:
            image, parent = smooth(image)[::2, ::2], smooth(parent)[::2, ::2]
        variance = np.maximum(smooth(parent**2) - smooth(parent) ** 2, 0)
        variance_of_image = np.maximum(smooth(image**2) - smooth(image) ** 2, 0)
        shared = smooth(image * parent) - smooth(image) * smooth(parent)
        gain = np.maximum(shared / (variance + 1e-10), 0)
        rest = np.maximum(variance_of_image - gain * shared, 1e-10)
        above += np.log10(1 + gain**2 * variance / (rest + noise)).sum()
        below += np.log10(1 + variance / noise).sum()
    return above / below


def test_vif_follows_its_definition(images, parents):
    found = compare_images(images, parents)["vif"]
    expected = [
        np.mean([reference_vif(*(array[..., channel].astype(float) for array in pair)) for channel in range(3)])
        for pair in zip(images, parents, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert (np.diff(found) < 0).all()  # more and more noise


def test_vif_is_absent_where_it_is_not_defined(images):
    flat = np.full((1, 64, 64, 3), 100, np.uint8)
    assert np.isnan(compare_images(images[:1], flat)["vif"]).all()
    assert np.isfinite(compare_images(flat, images[:1])["vif"]).all()
    assert np.isnan(compare_images(images[:, :40, :40], images[:, :40, :40])["vif"]).all()


def test_batches_give_what_the_library_gives_at_once(images, parents):
    found = compare_with_parents(images, parents[:2], [1, 0, 1, 0], size=3)
    ours, theirs = (
        torch.from_numpy(array).permute(0, 3, 1, 2).double() for array in (images, parents[np.array([1, 0, 1, 0])])
    )
    ssim = structural_similarity_index_measure(ours, theirs, data_range=255.0, reduction="none")
    np.testing.assert_allclose(found["ssim"], ssim, atol=1e-4)
    vif = visual_information_fidelity(ours, theirs, reduction="none")
    np.testing.assert_allclose(found["vif"], vif, rtol=2e-3, atol=1e-5)


def test_no_images_give_no_values(parents):
    assert all(values.shape == (0,) for values in compare_with_parents(parents[:0], parents, []).values())


def test_images_of_another_size_are_refused(images, parents):
    with pytest.raises(UserError, match="expected the shape of their parents"):
        compare_images(images[:, :48], parents)
