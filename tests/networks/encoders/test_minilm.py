import pytest
import torch

from variad.core.errors import UserError
from variad.networks import conse as minilm
from variad.networks.weights import installed_package

TEXTS = ["a solar cell with dust", "a", "a brick with a rather long list of words behind it, and commas", "a cat"]


@pytest.fixture(scope="module")
def text():
    return minilm.load_minilm()


def test_unit_norm_and_order(text):
    embeddings = text.encode(TEXTS)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(4))
    for row, words in enumerate(TEXTS):
        torch.testing.assert_close(text.encode([words])[0], embeddings[row], atol=1e-5, rtol=0)


def test_near_texts_are_nearer(text):
    cat, kitten, invoice = text.encode(["a cat", "a kitten", "an unpaid invoice"])
    assert cat @ kitten > 0.6 > 0.3 > cat @ invoice


@pytest.mark.slow
def test_equals_transformers_with_mean_pooling(text):
    transformers = pytest.importorskip("transformers")
    folder = installed_package(minilm.MINILM_PACKAGE, "") / "model"
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        last = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    expected = torch.nn.functional.normalize((last * mask).sum(1) / mask.sum(1), dim=-1)
    torch.testing.assert_close(text.encode(TEXTS), expected, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_equals_sentence_transformers(text):
    reference = pytest.importorskip("sentence_transformers")
    model = reference.SentenceTransformer(str(installed_package(minilm.MINILM_PACKAGE, "") / "model"), device="cpu")
    expected = torch.from_numpy(model.encode(TEXTS))
    torch.testing.assert_close(text.encode(TEXTS), expected, atol=1e-5, rtol=0)


def test_batches_hold_equal_lengths_and_few_tokens(monkeypatch):
    monkeypatch.setattr(minilm, "BATCH_TOKENS", 8)
    assert minilm._batches("abcdef", [4, 2, 4, 4, 9, 2]) == [[1, 5], [0, 2], [3], [4]]


def test_too_long_a_text(text):
    assert text.encode(["word " * 254]).shape == (1, 384)
    with pytest.raises(UserError, match="expected at most 256 tokens, found 257"):
        text.encode(["word " * 255])


def test_other_weights_are_refused(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr(minilm, "installed_package", lambda *_: tmp_path)
    with pytest.raises(UserError, match=r"model\.safetensors: expected sha256 53aa51"):
        minilm.load_minilm()
