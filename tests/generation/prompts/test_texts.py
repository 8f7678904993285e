import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.generation import prompts as texts
from variad.generation.prompts import embed_texts, read_texts, write_texts


class Lengths:
    """Embeds a text as its length and its first letter; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def encode_text(self, batch):
        self.asked.append(list(batch))
        return torch.tensor([[float(len(text)), float(ord(text[0]))] for text in batch])


def test_short_texts_go_together_and_come_back_in_order(monkeypatch):
    monkeypatch.setattr(texts, "TEXTS_A_CHUNK", 2)
    encoder = Lengths()
    embeddings = embed_texts(encoder, ["ccc", "a", "bb", "d"])
    assert encoder.asked == [["a", "d"], ["bb", "ccc"]]
    assert embeddings.tolist() == [[3, 99], [1, 97], [2, 98], [1, 100]]
    assert embeddings.dtype == np.float32


def test_file_gives_any_order_back(tmp_path):
    path = tmp_path / "texts.h5"
    embeddings = np.arange(6, dtype=np.float32).reshape(3, 2)
    write_texts(path, ["eins", "zwei", "fünf"], embeddings, "conse")
    assert read_texts(path, ["fünf", "eins"]).tolist() == [[4, 5], [0, 1]]
    with pytest.raises(UserError, match="expected an embedding of 'vier'"):
        read_texts(path, ["eins", "vier"])
