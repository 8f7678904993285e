import math
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from variad.core.errors import UserError
from variad.core.files import package_folder
from variad.networks import conse as minilm
from variad.networks.conse import (
    ConSE,
    imagenet_class_names,
    load_conse,
    load_minilm,
    read_classes,
    write_classes,
)


class FakeText:
    """Texts named by their vector."""

    def encode(self, texts):
        return torch.tensor([[float(part) for part in text.split()] for text in texts])


def brightness_logits(images):
    """Two classes: dark and bright."""
    mean = images.mean(dim=(1, 2, 3))
    return torch.stack([-mean, mean], dim=1)


@pytest.fixture
def encoder():
    classes = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    mean = torch.tensor([0.25, 0.25, 0.5])
    return ConSE(brightness_logits, classes, mean, temperature=2.0, resolution=4, load_text=FakeText)


def test_images_by_hand(encoder):
    # Brightness 1: logits (-1, 1), halved by the temperature; the classes less the mean are (.75, -.25, -.5) and
    # (-.25, .75, -.5).
    bright = 1 / (1 + math.exp(-1.0))
    x, y, z = 0.75 - bright, bright - 0.25, -0.5
    length = math.sqrt(x * x + y * y + z * z)
    found = encoder.encode_image(torch.ones(1, 3, 4, 4))
    assert found[0].tolist() == pytest.approx([x / length, y / length, z / length], abs=1e-6)


def test_texts_by_hand(encoder):
    # (0, 1, 0) less the mean is (-.25, .75, -.5), of length sqrt(.875).
    expected = [value / math.sqrt(0.875) for value in (-0.25, 0.75, -0.5)]
    assert encoder.encode_text(["0 1 0"])[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_low_temperature_gives_the_name_of_the_likeliest_class(encoder):
    cold = ConSE(brightness_logits, torch.eye(2, 3), torch.zeros(3), temperature=1e-3, resolution=4, load_text=FakeText)
    assert cold.encode_image(torch.full((1, 3, 4, 4), 0.5)) @ torch.tensor([0.0, 1.0, 0.0]) == pytest.approx(1)


def test_gradient_equals_finite_differences():
    classify = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(20, 6)
    )
    generator = torch.Generator().manual_seed(0)
    for parameter in classify.double().parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    classes = torch.randn(6, 7, generator=generator, dtype=torch.float64)
    encoder = ConSE(classify, classes, classes.mean(0), resolution=4, load_text=FakeText)
    # Away from 0 and 1, where the resize clamps.
    images = torch.rand(2, 3, 7, 6, generator=generator, dtype=torch.float64) * 0.4 + 0.3
    assert torch.autograd.gradcheck(encoder.encode_image, images.requires_grad_())
    embeddings = encoder.encode_image(images)
    (gradient,) = torch.autograd.grad(embeddings[:, 0].sum(), images)
    assert gradient.abs().amax(dim=(1, 2, 3)).min() > 1e-6


def test_texts_load_the_sentence_encoder_once_and_images_never():
    loaded = []
    encoder = ConSE(
        brightness_logits, torch.eye(2), torch.zeros(2), resolution=4, load_text=lambda: loaded.append(1) or FakeText()
    )
    encoder.encode_image(torch.rand(1, 3, 4, 4))
    assert loaded == []
    encoder.encode_text(["1 0"])
    encoder.encode_text(["0 1"])
    assert loaded == [1]


def test_class_file_holds_the_embeddings_and_their_mean(tmp_path):
    path = tmp_path / "conse.safetensors"
    write_classes(path, ["1 0", "0 3"], FakeText())
    classes, mean = read_classes(path)
    assert classes.tolist() == [[1, 0], [0, 3]]
    assert mean.tolist() == [0.5, 1.5]


def test_class_file_missing_or_of_another_kind(tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"weights": torch.zeros(1)}, other)
    for path in (other, tmp_path / "none.safetensors"):
        with pytest.raises(UserError, match="expected embeddings of class names"):
            read_classes(path)


@pytest.fixture(scope="module")
def real_classes(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "conse.safetensors"
    write_classes(path, imagenet_class_names(), load_minilm())
    return path


@pytest.mark.slow
def test_real_photographs_find_their_captions(real_classes):
    data = pytest.importorskip("skimage.data")
    encoder = load_conse(real_classes)
    photographs = [data.chelsea(), data.coffee(), data.rocket()]
    captions = encoder.encode_text(
        ["a photograph of a cat", "a cup of coffee on a table", "a rocket on its launch pad"]
    )
    for index, pixels in enumerate(photographs):
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
        assert (captions @ encoder.encode_image(image)[0]).argmax() == index


@pytest.mark.slow
def test_centring_spreads_images_apart(real_classes):
    classes, mean = read_classes(real_classes)
    assert classes.shape == (1000, 384)
    torch.testing.assert_close(classes.mean(0), mean)
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * torch.linspace(0, 1, 4).view(
        4, 1, 1, 1
    )
    encoder = load_conse(real_classes)
    encoder.resolution = 64
    centred = encoder.encode_image(images)
    plain = ConSE(encoder._classify, classes, torch.zeros(384), resolution=64).encode_image(images)
    assert (centred @ centred.T).mean() < (plain @ plain.T).mean()


@pytest.mark.slow
def test_images_import_no_text_library(real_classes):
    code = (
        "import sys, torch; from variad.networks.encoders import load_encoder;"
        f"load_encoder('conse', classes={str(real_classes)!r}).encode_image(torch.rand(1, 3, 32, 32));"
        "sys.exit(len({'transformers', 'tokenizers', 'timm', 'torchvision', 'open_clip'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0


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
    folder = package_folder(minilm.MINILM_PACKAGE, "") / "model"
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
    model = reference.SentenceTransformer(str(package_folder(minilm.MINILM_PACKAGE, "") / "model"), device="cpu")
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
    monkeypatch.setattr(minilm, "package_folder", lambda *_: tmp_path)
    with pytest.raises(UserError, match=r"model\.safetensors: expected sha256 53aa51"):
        minilm.load_minilm()


def test_names_follow_the_order_of_the_logits():
    names = imagenet_class_names()
    assert len(names) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby cat", "toilet paper")


def test_names_are_read_from_source_without_running_it(tmp_path):
    path = tmp_path / "names.py"
    path.write_text("raise SystemExit\nOTHER = 1\nIMAGENET_CLASSNAMES = ('a', 'b')\n")
    assert imagenet_class_names(path) == ["a", "b"]


def test_a_file_without_names(tmp_path):
    path = tmp_path / "names.py"
    path.write_text("OTHER = ['a']\n")
    with pytest.raises(UserError, match="expected a list IMAGENET_CLASSNAMES"):
        imagenet_class_names(path)
