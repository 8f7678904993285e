"""The mask of the object, from features made by hand."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from sklearn.decomposition import PCA

from variad.detectors.foreground import foreground, main_component


def scene(
    rows: slice, columns: slice, shape: tuple[int, int] = (12, 16), gap: float = 60.0, seed: int = 0
) -> np.ndarray:
    """Patches ``[1, h, w, 5]`` that differ by noise, those of an object by a gap too."""
    patches = np.random.default_rng(seed).normal(2, 0.5, (1, *shape, 5))
    patches[0, rows, columns, 3] += gap
    return patches.astype(np.float32)


def test_the_object_in_the_middle_is_found_and_grown_by_one_patch():
    expected = np.zeros((12, 16), bool)
    expected[2:10, 4:13] = True
    found = foreground(scene(slice(3, 9), slice(5, 12)), 10)
    np.testing.assert_array_equal(found, [expected])


def test_the_object_is_found_whichever_way_the_background_differs():
    bright, dark = (foreground(scene(slice(3, 9), slice(5, 12), gap=gap), 10) for gap in (60, -60))
    np.testing.assert_array_equal(bright, dark)


def test_an_object_that_is_smaller_than_the_background_within_the_middle_is_taken_for_it():
    """What the authors' masking test by eye is for."""
    found = foreground(scene(slice(5, 7), slice(7, 9), gap=100), 1)
    assert found.mean() > 0.9


def test_an_object_at_the_edge_stays_at_the_edge():
    """Closing must not eat the border."""
    found = foreground(scene(slice(0, 12), slice(4, 16)), 10)
    expected = np.zeros((12, 16), bool)
    expected[:, 3:] = True
    np.testing.assert_array_equal(found, [expected])


def test_a_hole_of_one_patch_is_closed():
    patches = scene(slice(2, 10), slice(3, 13))
    patches[0, 5, 8, 3] -= 60
    assert foreground(patches, 10)[0, 2:10, 3:13].all()


def test_an_image_without_any_patch_beyond_the_threshold_is_all_object():
    patches = scene(slice(3, 9), slice(5, 12), gap=1)
    assert foreground(patches, 10).all()
    assert foreground(np.ones((2, 4, 4, 3), np.float32), 0).all()


def test_masks_do_not_depend_on_the_other_images():
    together = np.concatenate([scene(slice(3, 9), slice(5, 12)), scene(slice(2, 11), slice(3, 15), seed=1)])
    np.testing.assert_array_equal(foreground(together, 10)[1:], foreground(together[1:], 10))
    assert foreground(together[:0], 10).shape == (0, 12, 16)


@pytest.mark.parametrize("shape", [(50, 8), (8, 50)])
def test_the_main_component_equals_scikit_learns(shape):
    points = np.random.default_rng(3).normal(5, 1, shape) * np.linspace(1, 3, shape[1])
    found, expected = main_component(points.astype(np.float32)), PCA(1).fit_transform(points)[:, 0]
    np.testing.assert_allclose(
        squareform(pdist(found[:, None])), squareform(pdist(expected[:, None])), rtol=1e-4, atol=1e-4
    )
    assert found.mean() == pytest.approx(0, abs=1e-6)
