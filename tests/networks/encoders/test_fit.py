import numpy as np
import pytest
import torch
from PIL import Image

from variad.networks.encoders import fit


def test_right_size_is_returned_untouched():
    images = torch.rand(2, 3, 8, 8) * 3 - 1
    assert fit(images, 8) is images


def test_centre_is_cut_from_the_longer_side():
    images = torch.arange(6.0).div(10).expand(1, 3, 2, 6)
    assert fit(images, 2)[0, 0].tolist() == pytest.approx(np.array([[0.2, 0.3]] * 2))


def test_squash_keeps_everything():
    halves = torch.cat([torch.zeros(1, 3, 8, 16), torch.ones(1, 3, 8, 16)], dim=3)
    squashed = fit(halves, 8, squash=True)
    assert squashed.shape == (1, 3, 8, 8)
    assert squashed.mean().item() == pytest.approx(0.5, abs=1e-6)
    assert squashed[0, 0, 0, 0] == 0
    assert squashed[0, 0, 0, -1] == 1


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("side, resolution", [(50, 20), (20, 33)])
def test_equals_pillow_up_to_its_rounding(interpolation, side, resolution):
    # Pillow also clips between its two passes; these values stay clear of that.
    pixels = np.random.default_rng(0).integers(80, 176, (side, side, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize((resolution, resolution), Image.Resampling[interpolation.upper()])
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].double() / 255
    found = fit(images, resolution, interpolation=interpolation)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(found - np.asarray(expected)).max() < 1.6


@pytest.mark.parametrize("height, width", [(37, 23), (300, 299), (224, 301)])
def test_size_is_exact(height, width):
    assert fit(torch.rand(1, 3, height, width), 24).shape == (1, 3, 24, 24)
