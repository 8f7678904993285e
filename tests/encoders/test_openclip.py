import json

import numpy as np
import pytest
import torch
from PIL import Image

from variad.encoders import load_encoder
from variad.encoders.openclip import OpenClip, load_openclip
from variad.errors import UserError

open_clip = pytest.importorskip("open_clip")
pytestmark = pytest.mark.slow

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny model under the name ``variad-tiny`` with random weights in a local file."""
    folder = tmp_path_factory.mktemp("open_clip")
    (folder / "variad-tiny.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    torch.save(open_clip.create_model("variad-tiny").state_dict(), folder / "tiny.pt")
    return folder / "tiny.pt"


@pytest.fixture(scope="module")
def encoder(weights):
    return load_openclip("variad-tiny", weights)


def test_images_equal_open_clips_own_pipeline(encoder, weights):
    model, _, preprocess = open_clip.create_model_and_transforms("variad-tiny", pretrained=str(weights))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    with torch.no_grad():
        own = torch.stack([preprocess(Image.fromarray(image)) for image in pixels])
        expected = model.eval().encode_image(own, normalize=True)
    found = encoder.encode_image(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255)
    # Pillow rounds to 8 bits after resizing, this encoder does not.
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


def test_images_of_the_right_size_are_equal_exactly(encoder, weights):
    model, _, preprocess = open_clip.create_model_and_transforms("variad-tiny", pretrained=str(weights))
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = model.eval().encode_image(preprocess(Image.fromarray(pixels))[None], normalize=True)
    found = encoder.encode_image(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_texts_equal_open_clips_own(encoder, weights):
    model, _, _ = open_clip.create_model_and_transforms("variad-tiny", pretrained=str(weights))
    texts = ["a brick with moss", "a solar cell"]
    with torch.no_grad():
        tokens = open_clip.get_tokenizer("variad-tiny")(texts)
        expected = model.eval().encode_text(tokens, normalize=True)
    torch.testing.assert_close(encoder.encode_text(texts), expected, atol=1e-6, rtol=0)


def test_gradient_reaches_the_images(encoder):
    images = torch.rand(2, 3, 40, 40, requires_grad=True)
    encoder.encode_image(images)[:, 0].sum().backward()
    assert images.grad.abs().amax(dim=(1, 2, 3)).min() > 0


def test_text_longer_than_the_context(encoder):
    assert encoder.context_length == 12
    assert encoder.encode_text(["a " * 10]).shape == (1, 16)
    with pytest.raises(UserError, match="expected at most 12 tokens"):
        encoder.encode_text(["a brick", "a " * 11])


def test_resolution_and_name(encoder):
    assert (encoder.resolution, encoder.name) == (32, "variad-tiny/tiny.pt")


def test_squashing_models_see_the_whole_image(weights):
    class Mean:
        def encode_image(self, images):
            return images.mean(dim=(2, 3))

    class Tokenizer:
        context_length = 1

    preprocess = {
        "size": (8, 8),
        "mean": [0.0] * 3,
        "std": [1.0] * 3,
        "resize_mode": "squash",
        "interpolation": "bilinear",
    }
    images = torch.zeros(1, 3, 8, 24)
    images[:, 0, :, :8] = 1  # outside of the centre
    squashing = OpenClip("fake", Mean(), preprocess, Tokenizer(), "cpu").encode_image(images)
    assert squashing[0].tolist() == pytest.approx([1, 0, 0])


def test_unknown_model_names_close_ones():
    with pytest.raises(UserError, match=r"such as ViT-B-16.*found 'ViT-B-17'"):
        load_openclip("ViT-B-17", "openai")


def test_unknown_weights_name_the_tags(tmp_path):
    with pytest.raises(UserError, match=r"one of the tags .*openai.* or a local file, found 'nobody'"):
        load_openclip("ViT-B-16", "nobody")
    with pytest.raises(UserError, match="expected as weights a local file"):
        load_openclip("variad-tiny", tmp_path / "none.pt")


def test_weights_of_another_model(weights):
    with pytest.raises(UserError, match=r"expected '.*tiny\.pt' to load"):
        load_openclip("RN50", weights)


def test_activation_must_be_the_one_of_the_weights(monkeypatch):
    monkeypatch.setattr("open_clip.factory.download_pretrained", lambda *_, **__: "none.pt")
    with pytest.raises(UserError, match="expected the activation of 'openai', found: QuickGELU mismatch"):
        load_openclip("ViT-B-16", "openai")


def test_without_a_network_there_is_one_sentence(monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr("open_clip.factory.download_pretrained", fail)
    with pytest.raises(UserError, match="expected 'openai' to load or download, found: Failed to download"):
        load_encoder("open_clip", model="ViT-B-16-quickgelu", weights="openai")
