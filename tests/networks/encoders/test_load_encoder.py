import pytest
import torch

from variad.core.errors import UserError
from variad.networks.conse import write_classes
from variad.networks.encoders import load_encoder


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
