import numpy as np
import pytest
import torch
from PIL import Image

from variad.core.errors import UserError
from variad.networks.conse import write_classes
from variad.networks.encoders import load_encoder
from variad.networks.features import fit


def test_unknown_kind():
    with pytest.raises(UserError, match="expected a kind of conse, open_clip, found 'clap'"):
        load_encoder("clap")


def test_missing_arguments():
    with pytest.raises(UserError, match="expected the file of rule build_conse"):
        load_encoder("conse")
    with pytest.raises(UserError, match="expected model and weights, found 'RN50' and None"):
        load_encoder("open_clip", model="RN50")


def test_conse_takes_an_entry_of_the_config(tmp_path):
    class Text:
        def encode(self, names):
            return torch.eye(1000, 4)[: len(names)]

    path = tmp_path / "classes.safetensors"
    write_classes(path, ["name"] * 1000, Text())
    encoder = load_encoder(kind="conse", temperature=2.0, weights=None, classes=path)
    assert (encoder.name, encoder.resolution, encoder.context_length) == ("conse", 224, 256)
    embeddings = encoder.encode_image(torch.rand(2, 3, 32, 32))
    assert embeddings.shape == (2, 4)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))


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
