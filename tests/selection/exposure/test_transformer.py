"""Vision transformers of timm: the split, and weights that cannot be had."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from variad.core.errors import UserError
from variad.selection.exposure_network import embed, load_network

pytestmark = pytest.mark.slow
NAME = "vit_tiny_patch16_224"
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the official layout."""
    import timm

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(timm.create_model(NAME, pretrained=False).state_dict(), path)
    return path


def test_parts_of_a_transformer_give_its_embedding(weights: Path) -> None:
    import timm

    model = timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay={"file": str(weights)}).eval()
    pixels = (torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(pixels), pre_logits=True)
    for trained in (None, 2):
        network = load_network(NAME, weights, trained, None)
        found = embed(network.tail, network.activations(IMAGES))
        assert network.width == expected.shape[1] == 192
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_transformer_without_weights_offline_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(UserError) as caught:
        load_network(NAME, None, None, None)
    assert "connect to the network or give a local safetensors file" in str(caught.value)
    assert str(caught.value).count("\n") == 0
    with pytest.raises(UserError, match="expected a safetensors file with the weights"):
        load_network(NAME, tmp_path / "none.safetensors", None, None)


def test_an_unknown_model_is_one_sentence() -> None:
    with pytest.raises(UserError, match="timm model's name, found 'vit_huge_nothing'"):
        load_network("vit_huge_nothing", None, None, None)
