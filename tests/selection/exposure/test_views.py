"""Augmented views."""

import numpy as np

from variad.selection.exposure_network import random_views, rotated


def test_views_are_shifted_and_mirrored_copies() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 50, 50, 3), dtype=np.uint8)
    views = random_views(images, 3, np.random.default_rng(1))
    assert views.shape == (6, 50, 50, 3) and views.dtype == np.uint8
    for row, view in enumerate(views):
        parent = images[row % 2]
        inner = view[2:-2, 2:-2]  # 4 % of 50 px
        crops = [
            side[top : top + 46, left : left + 46]
            for side in (parent, parent[:, ::-1])
            for top in range(5)
            for left in range(5)
        ]
        assert any((inner == crop).all() for crop in crops)


def test_views_are_the_same_for_the_same_generator() -> None:
    images = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    one, two = (random_views(images, 2, np.random.default_rng(5)) for _ in range(2))
    assert (one == two).all()


def test_rotation_turns_by_quarters() -> None:
    images = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3)
    turned = rotated(images, np.array([1, 2]))
    assert (turned[0] == images[0].transpose(1, 0, 2)[::-1]).all()
    assert (turned[1] == images[1][::-1, ::-1]).all()
