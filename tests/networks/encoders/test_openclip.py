import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from tests.memory import measured
from variad.core.errors import UserError
from variad.core.precision import Arithmetic
from variad.networks.encoders import load_encoder
from variad.networks.openclip import OpenClip, encode_short, load_openclip

open_clip = pytest.importorskip("open_clip")
pytestmark = pytest.mark.slow

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


TINY_RESNET = {
    **TINY,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "patch_size": None},
}
ROUNDING = 1e-5  # of unit embeddings: layers whose sums have another order on every processor and for every length


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny model under the name ``variad-tiny`` with random weights in a local file."""
    folder = tmp_path_factory.mktemp("open_clip")
    (folder / "variad-tiny.json").write_text(json.dumps(TINY))
    (folder / "variad-tiny-resnet.json").write_text(json.dumps(TINY_RESNET))
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
    torch.testing.assert_close(found, expected, atol=ROUNDING, rtol=0)


def test_texts_equal_open_clips_own(encoder, weights):
    model, _, _ = open_clip.create_model_and_transforms("variad-tiny", pretrained=str(weights))
    texts = ["a brick with moss", "a solar cell"]
    with torch.no_grad():
        tokens = open_clip.get_tokenizer("variad-tiny")(texts)
        expected = model.eval().encode_text(tokens, normalize=True)
    torch.testing.assert_close(encoder.encode_text(texts), expected, atol=ROUNDING, rtol=0)


def test_gradient_reaches_the_images(encoder):
    images = torch.rand(2, 3, 40, 40, requires_grad=True)
    encoder.encode_image(images)[:, 0].sum().backward()
    assert images.grad.abs().amax(dim=(1, 2, 3)).min() > 0


@pytest.mark.parametrize("name", ["variad-tiny", "variad-tiny-resnet"])
def test_with_weights_of_bfloat16_images_lie_where_they_lay(weights, name, tmp_path):
    torch.manual_seed(0)
    save_file(open_clip.create_model(name).state_dict(), tmp_path / "weights.safetensors")
    encoder = load_openclip(name, tmp_path / "weights.safetensors")
    cast = encoder.cast(torch.bfloat16)
    images = torch.rand(3, 3, encoder.resolution, encoder.resolution, requires_grad=True)
    wanted, found = encoder.encode_image(images), cast.encode_image(images)
    assert found.dtype == torch.float32 and not torch.equal(found, wanted)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    assert functional.cosine_similarity(found, wanted).min() > 0.99
    gradients = [torch.autograd.grad(answer[:, 0].sum(), images)[0].flatten(1) for answer in (wanted, found)]
    assert functional.cosine_similarity(*gradients).min() > 0.9
    assert next(encoder._model.parameters()).dtype == torch.float32  # its own weights are as they were


@pytest.mark.gpu
def test_on_a_gpu_images_lie_where_they_lie_on_a_cpu(weights):
    images = torch.rand(3, 3, 40, 40)
    wanted = load_openclip("variad-tiny", weights).encode_image(images)
    with Arithmetic.of("float32", "cuda").kernels():
        found = load_openclip("variad-tiny", weights, "cuda").encode_image(images.cuda())
    torch.testing.assert_close(found.cpu(), wanted, atol=1e-4, rtol=0)


def test_text_longer_than_the_context(encoder):
    assert encoder.context_length == 12
    assert encoder.encode_text(["a " * 10]).shape == (1, 16)
    with pytest.raises(
        UserError, match=r"text 'a a .*: expected at most 12 tokens for variad-tiny/tiny.pt, found more"
    ):
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


def test_weights_of_another_model_name_three_keys(weights):
    keys = r"transformer\.resblocks\.10\.attn\.in_proj_bias \(missing\)(, [^,]+ \(missing\)){2}\."
    with pytest.raises(UserError, match=rf"tiny\.pt: expected the weights of CLIP, found wrong keys: {keys}$"):
        load_openclip("RN50", weights)


def openai(state):
    """As the published programs of OpenAI give their state: half precision, and three numbers beside the weights."""
    numbers = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(12), "vocab_size": torch.tensor(9)}
    return {**{name: tensor.half() for name, tensor in state.items()}, **numbers}


FORMS = {
    "plain.safetensors": lambda state, path: save_file(state, path),
    "half.safetensors": lambda state, path: save_file({name: part.half() for name, part in state.items()}, path),
    "plain.bin": torch.save,
    "openai.pt": lambda state, path: torch.save(openai(state), path),
    "training.pt": lambda state, path: torch.save(
        {"epoch": 3, "name": "run", "state_dict": {f"module.{name}": part for name, part in state.items()}}, path
    ),
}


@pytest.mark.parametrize("model", ["variad-tiny", "variad-tiny-resnet"])
@pytest.mark.parametrize("form", FORMS)
def test_local_file_in_every_form(weights, tmp_path, caplog, model, form):
    torch.manual_seed(1)
    network = open_clip.create_model(model).eval()
    caplog.clear()
    FORMS[form](network.state_dict(), tmp_path / form)
    encoder = load_openclip(model, tmp_path / form)
    assert not caplog.records  # open_clip would warn of random weights
    assert {part.dtype for part in encoder._model.parameters()} == {torch.float32}
    images = torch.rand(2, 3, encoder.resolution, encoder.resolution, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = network.encode_image((images - encoder._mean) / encoder._std, normalize=True)
        text = network.encode_text(open_clip.get_tokenizer(model)(["a brick"]), normalize=True)
    tolerance = 0 if form in ("plain.safetensors", "plain.bin", "training.pt") else 5e-3
    torch.testing.assert_close(encoder.encode_image(images), expected, atol=ROUNDING + tolerance, rtol=0)
    torch.testing.assert_close(encoder.encode_text(["a brick"]), text, atol=ROUNDING + tolerance, rtol=0)


def test_weights_for_another_resolution_are_not_stretched(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    state["visual.positional_embedding"] = torch.zeros(8 * 8 + 1, 32)
    torch.save(state, tmp_path / "large.pt")
    with pytest.raises(UserError, match=r"visual.positional_embedding: expected shape \[17, 32\], found \[65, 32\]"):
        load_openclip("variad-tiny", tmp_path / "large.pt")


def test_resolution_that_the_model_does_not_have(weights):
    sentence = "expected cutouts of the 32 pixels that it needs, found resolution: 224"
    with pytest.raises(UserError, match=f"encoder variad-tiny: {sentence}"):
        load_encoder("open_clip", model="variad-tiny", weights=weights, resolution=224)
    assert load_encoder("open_clip", model="variad-tiny", weights=weights, resolution=32).resolution == 32


def test_models_of_oblong_images_are_refused():
    preprocess = {"size": (8, 16), "mean": [0.0] * 3, "std": [1.0] * 3, "resize_mode": "squash"}
    with pytest.raises(UserError, match=r"encoder oblong: expected square images"):
        OpenClip("oblong", None, preprocess, SimpleNamespace(context_length=1), "cpu")


MAKE = """
import open_clip
from safetensors.torch import save_file

save_file({name: part.half() for name, part in open_clip.create_model(sys.argv[1]).state_dict().items()}, sys.argv[2])
result = None
"""
LOAD = """
import torch
from variad.networks.encoders import load_encoder

encoder = load_encoder("open_clip", model=sys.argv[1], weights=sys.argv[2])
side = encoder.resolution
images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)).requires_grad_()
embeddings = encoder.encode_image(images)
texts = encoder.encode_text(["a photograph of a brick", "a solar cell"])
(gradient,) = torch.autograd.grad(embeddings[0] @ texts[0], images)
result = {
    "resolution": side,
    "context_length": encoder.context_length,
    "norms": torch.cat([embeddings, texts]).norm(dim=1).tolist(),
    "width": embeddings.shape[1],
    "gradient": gradient.abs().amax(dim=(1, 2, 3)).tolist(),
}
"""


@pytest.mark.parametrize(
    ("model", "resolution", "width", "gib"),
    [("ViT-B-16-quickgelu", 224, 512, 3), ("RN50x64-quickgelu", 448, 1024, 8)],
)
def test_published_models_load_from_a_file(tmp_path, model, resolution, width, gib):
    weights = tmp_path / "random.safetensors"
    measured(MAKE, model, weights)
    result, peak = measured(LOAD, model, weights)
    weights.unlink()  # over a gigabyte, and pytest keeps its folders
    assert (result["resolution"], result["context_length"], result["width"]) == (resolution, 77, width)
    assert result["norms"] == pytest.approx([1] * 4, abs=1e-5)
    assert result["gradient"][0] > 0 and result["gradient"][1] == 0
    assert peak < gib


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


open_clip_model = pytest.importorskip("open_clip.model")

CONTEXT = 16
VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": CONTEXT, "vocab_size": 100, "width": 32, "heads": 2, "layers": 3}


def clip():
    torch.manual_seed(0)
    model = open_clip_model.CLIP(16, open_clip_model.CLIPVisionCfg(**VISION), open_clip_model.CLIPTextCfg(**TEXT))
    return model.eval().requires_grad_(False)


def tokens(*lengths):
    """Random ids, 99 at the end of each text, zeros behind it; zero is a word's id as well, as CLIP's '!' is."""
    ids = torch.zeros(len(lengths), CONTEXT, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, : length - 1] = torch.randint(0, 99, (length - 1,))
        ids[row, length - 1] = 99
    ids[0, 1] = 0
    return ids


@pytest.mark.parametrize("lengths", [(5, 3, 9), (2,), (CONTEXT, 4)])
def test_fewer_positions_give_the_same_embeddings(lengths):
    model, ids = clip(), tokens(*lengths)
    torch.testing.assert_close(encode_short(model, ids), model.encode_text(ids), atol=1e-5, rtol=0)
    # and the model is as it was
    assert model.positional_embedding.shape[0] == CONTEXT


def test_the_tower_sees_the_longest_text_and_no_more():
    model, seen = clip(), []
    model.transformer.register_forward_hook(lambda module, given, out: seen.append(given[0].shape[1]))
    encode_short(model, tokens(5, 3, 9))
    assert seen == [9]


def test_models_that_read_the_whole_context_see_it():
    seen = []
    model = SimpleNamespace(encode_text=lambda ids: seen.append(ids.shape) or ids.float())
    encode_short(model, tokens(4, 4))
    assert seen == [(2, CONTEXT)]
