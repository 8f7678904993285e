"""A network in two parts equals the whole, and the views that it sees."""

import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.networks.efficientnet_lite0 import load_packaged
from variad.selection.exposure_network import embed, load_network, random_views, rotated

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def plain_embeddings() -> torch.Tensor:
    """The layer before the prediction, by the network's own forward pass."""
    network = load_packaged()
    pixels = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        last = network.forward_stages((pixels - 0.5) / 0.5, ["stage7"])["stage7"]
        return network.head(last).mean(dim=(2, 3))


@pytest.mark.parametrize("trained", [1, 3, None])
def test_frozen_embeddings_are_the_plain_features_however_it_is_split(trained: int | None) -> None:
    network = load_network("efficientnet_lite0", None, trained, None)
    embeddings = embed(network.tail, network.activations(IMAGES))
    assert embeddings.shape == (3, network.width)
    torch.testing.assert_close(embeddings, plain_embeddings(), atol=1e-5, rtol=1e-5)


def test_more_blocks_than_there_are_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"exposure\.trained_blocks: expected at most 7 .* found 8"):
        load_network("efficientnet_lite0", None, 8, None)


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
