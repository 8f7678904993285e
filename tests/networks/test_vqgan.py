"""The VQGAN: latents, codes and images; loading our weights and official checkpoints."""

import copy
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from taming.modules.diffusionmodules import model as taming_model
from taming.modules.diffusionmodules.model import AttnBlock, Upsample

from tests.memory import measured
from tests.official import IMAGENET_F16, NARROW, Reference, write_official
from variad.core.errors import UserError
from variad.core.files import sha256
from variad.datasets.open_images import textiles
from variad.networks.vqgan import (
    VQGAN,
    VQGANConfig,
    _folded,
    _FrugalAttention,
    fold_upsampling,
    load_vqgan,
    nearest_codes,
)
from variad.networks.vqgan_quality import measure
from variad.networks.weights import save_weights

TINY = VQGANConfig(
    embed_dim=4, n_embed=16, z_channels=4, ch=32, ch_mult=(1, 1, 2), num_res_blocks=1, attn_resolutions=(),
    resolution=16, norm_groups=4,
)  # fmt: skip
OFFICIAL = replace(TINY, norm_groups=32, attn_resolutions=(4,))


@pytest.fixture
def model() -> VQGAN:
    torch.manual_seed(0)
    return VQGAN(TINY).eval()


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_latent_and_image_sizes_follow_the_factor(model: VQGAN) -> None:
    assert model.factor == 4
    latent = model.encode(images(2, 3, 20, 28))
    assert latent.shape == (2, 4, 5, 7)
    assert model.decode(latent).shape == (2, 3, 20, 28)


def test_encode_is_before_quantisation(model: VQGAN) -> None:
    given = images(1, 3, 16, 16)
    assert torch.equal(model.encode(given), model.quant_conv(model.encoder(given)))


def test_a_side_that_the_factor_does_not_divide_is_named(model: VQGAN) -> None:
    with pytest.raises(UserError, match=r"factor 4, found 16 x 18"):
        model.encode(images(1, 3, 16, 18))


def test_quantise_by_hand() -> None:
    codebook = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    latent = torch.tensor([[0.9, 0.1], [-3.0, -1.0], [0.2, 0.8], [0.4, 0.4]]).T.reshape(1, 2, 2, 2)
    # The second code wins over its double; (.4, .4) is nearest to the origin.
    assert nearest_codes(latent, codebook).tolist() == [[[1, 0], [2, 0]]]


def test_quantised_latent_is_the_codes_vector(model: VQGAN) -> None:
    latent = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(2))
    quantised, indices = model.quantise(latent)
    assert indices.shape == (2, 3, 5)
    torch.testing.assert_close(quantised[1, :, 2, 4], model.codebook[indices[1, 2, 4]])
    assert torch.equal(model.quantise(quantised)[1], indices)


def test_quantise_equals_tamings_quantiser_and_the_exact_search(monkeypatch: pytest.MonkeyPatch, model: VQGAN) -> None:
    latent = torch.randn(3, 4, 9, 7, generator=torch.Generator().manual_seed(3)) * 0.05
    _, _, (_, _, reference) = model.quantize(latent)
    monkeypatch.setattr("variad.networks.vqgan.QUANTISE_ROWS", 10)  # the last piece is shorter
    indices = model.quantise(latent)[1]
    assert torch.equal(indices.flatten(), reference)
    rows, codes = latent.double().permute(0, 2, 3, 1).reshape(-1, 4), model.codebook.double()
    assert torch.equal(indices.flatten(), (rows[:, None] - codes).square().sum(2).argmin(1))


def test_quantise_is_exact_far_from_the_origin() -> None:
    generator = torch.Generator().manual_seed(4)
    codebook = 500 + torch.randn(64, 8, generator=generator)
    latent = 500 + torch.randn(1, 8, 16, 16, generator=generator)
    rows = latent.double().permute(0, 2, 3, 1).reshape(-1, 8)
    exact = (rows[:, None] - codebook.double()).square().sum(2).argmin(1)
    assert torch.equal(nearest_codes(latent, codebook).flatten(), exact)


def test_gradients_pass_straight_through(model: VQGAN) -> None:
    latent = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(5), requires_grad=True)
    weight = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(6))
    (model.quantise(latent)[0] * weight).sum().backward()
    assert torch.equal(latent.grad, weight)


def test_keys_are_those_of_tamings_checkpoints() -> None:
    keys = set(VQGAN(OFFICIAL).state_dict())
    assert {"quantize.embedding.weight", "quant_conv.weight", "post_quant_conv.bias"} <= keys
    assert {"encoder.mid.attn_1.q.weight", "encoder.down.2.attn.0.k.bias", "decoder.up.0.block.1.norm1.weight"} <= keys
    assert {key.split(".")[0] for key in keys} == {"encoder", "decoder", "quant_conv", "post_quant_conv", "quantize"}


def test_group_count_reaches_every_norm_and_must_divide_the_channels(model: VQGAN) -> None:
    norms = [module for module in model.modules() if isinstance(module, torch.nn.GroupNorm)]
    assert len(norms) > 10 and {norm.num_groups for norm in norms} == {4}
    with pytest.raises(UserError, match="norm_groups: expected 0 or a divisor of ch = 32, found 3"):
        replace(TINY, norm_groups=3)
    with pytest.raises(UserError, match=r"ch: expected a multiple of 32, .* found 40"):
        replace(TINY, ch=40, norm_groups=4)


def test_every_attention_is_the_frugal_one() -> None:
    attention = [module for module in VQGAN(OFFICIAL).modules() if isinstance(module, AttnBlock)]
    # one at 4 px in the encoder, two in the decoder, and one in the middle of each
    assert [type(module) for module in attention] == [_FrugalAttention] * 5


def test_frugal_attention_equals_tamings() -> None:
    torch.manual_seed(0)
    reference, frugal = AttnBlock(32), _FrugalAttention(32)
    frugal.load_state_dict(reference.state_dict())
    given = images(2, 32, 5, 3)
    torch.testing.assert_close(frugal(given), reference(given), atol=1e-6, rtol=1e-5)


def test_without_attention_the_image_depends_on_its_surroundings_only_through_norms() -> None:
    torch.manual_seed(0)
    model = VQGAN(replace(TINY, mid_attention=False)).eval()
    assert not [name for name in model.state_dict() if "attn" in name]
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.forward = lambda x: x  # type: ignore[method-assign]
    given = images(1, 3, 96, 96)
    changed = given.clone()
    changed[..., :4, :4] += 1
    difference = (model.encode(changed) - model.encode(given)).abs()
    assert difference[..., :2, :2].max() > 0 and difference[..., 12:, 12:].max() == 0


@pytest.mark.parametrize("sides", [(4, 4), (3, 5)])
def test_folded_upsampling_gives_tamings_images_and_gradients(model: VQGAN, sides: tuple[int, int]) -> None:
    model.double().requires_grad_(False)
    folded = copy.deepcopy(model)
    fold_upsampling(folded)
    assert not [layer for layer in folded.decoder.modules() if isinstance(layer, Upsample)]
    latent = images(2, 4, *sides).double().requires_grad_()
    found = []
    for one in (model, folded):
        decoded = one.decode(latent)
        (gradient,) = torch.autograd.grad(decoded.square().sum(), latent)
        found.append((decoded, gradient))
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-12)


def test_folding_doubles_by_hand() -> None:
    """One channel, a kernel that sums a row of three: each output is the sum of three doubled pixels."""
    convolution = torch.nn.Conv2d(1, 1, 3, padding=1)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[[[0.0, 0, 0], [1, 10, 100], [0, 0, 0]]]]))
        convolution.bias.fill_(0.5)
        found = _folded(convolution)(torch.tensor([[[[1.0, 2.0]]]]))
    # doubled row 1 1 2 2 with zeros around it
    row = [10 + 100 + 0.5, 1 + 10 + 200 + 0.5, 1 + 20 + 200 + 0.5, 2 + 20 + 0.5]
    torch.testing.assert_close(found, torch.tensor([[[row, row]]]))


def test_our_weights_come_back_frozen_and_in_float32(tmp_path: Path, model: VQGAN) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(path, model.state_dict(), asdict(TINY))
    loaded = load_vqgan(path)
    assert loaded.config == TINY and not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    given = images(1, 3, 16, 16)
    torch.testing.assert_close(loaded.encode(given), model.encode(given), atol=2e-2, rtol=0)


def official(folder: Path, change: dict[str, torch.Tensor | None] | None = None) -> Path:
    """A narrow checkpoint and its config in the form of the official ones."""
    torch.manual_seed(7)
    return write_official(folder, Reference(4, 16, NARROW), NARROW, change)


def test_official_checkpoint_gives_tamings_own_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_vqgan(official(tmp_path), config_path=tmp_path / "model.yaml")
    assert loaded.config == VQGANConfig(embed_dim=4, n_embed=16, **NARROW) and loaded.factor == 16
    monkeypatch.setattr(taming_model, "nonlinearity", lambda x: x * torch.sigmoid(x))
    torch.manual_seed(7)
    reference, given = Reference(4, 16, NARROW).eval().double(), images(2, 3, 32, 48).double()
    loaded.double()  # how float32 rounds through so many layers is the processor's
    with torch.no_grad():
        latent, indices, expected = reference(given)
        found, codes = loaded.quantise(loaded.encode(given))
        torch.testing.assert_close(loaded.encode(given), latent, atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(loaded.decode(found), expected, atol=1e-5, rtol=0)  # kernels folded in float32
    assert torch.equal(codes.flatten(), indices) and len(indices.unique()) > 1


def test_official_checkpoint_needs_no_trainer(tmp_path: Path) -> None:
    official(tmp_path)
    assert b"pytorch_lightning.callbacks.model_checkpoint" in (tmp_path / "last.ckpt").read_bytes()
    before = set(sys.modules)
    load_vqgan(tmp_path / "last.ckpt", config_path=tmp_path / "model.yaml")
    assert not [name for name in set(sys.modules) - before if name.startswith("pytorch_lightning")]


def test_wrong_keys_are_named(tmp_path: Path) -> None:
    change = {"encoder.extra": torch.zeros(1), "quant_conv.bias": None, "decoder.conv_in.bias": None, "z": None}
    path = official(tmp_path, {**change, "x": torch.zeros(1)})
    with pytest.raises(UserError) as caught:
        load_vqgan(path, config_path=tmp_path / "model.yaml")
    keys = "decoder.conv_in.bias (missing), encoder.extra (unknown), quant_conv.bias (missing)"
    assert str(caught.value) == f"{path}: expected the weights of VQGAN, found wrong keys: {keys}."


def test_wrong_shape_is_named(tmp_path: Path) -> None:
    path = official(tmp_path, {"quantize.embedding.weight": torch.zeros(15, 4)})
    (tmp_path / "model.yaml").write_text((tmp_path / "model.yaml").read_text().replace("n_embed: 15", "n_embed: 16"))
    with pytest.raises(UserError, match=r"quantize.embedding.weight: expected shape \[16, 4\], found \[15, 4\]"):
        load_vqgan(path, config_path=tmp_path / "model.yaml")


@pytest.mark.parametrize("shape", [(1, 5, 3, 3), (4, 3, 3)])
def test_wrong_latent_size_is_named(model: VQGAN, shape: tuple[int, ...]) -> None:
    sizes = rf"latent size: expected \[B, 4, h, w\] for this VQGAN, found {re.escape(str(list(shape)))}"
    for refuse in (model.decode, model.quantise):
        with pytest.raises(UserError, match=sizes):
            refuse(torch.zeros(shape))


LOAD = """
import torch
from pathlib import Path
from variad.networks.vqgan import fold_upsampling, load_vqgan

path = Path(sys.argv[1])
model = load_vqgan(path, config_path=path.with_name("model.yaml"), fold=False)
result = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
fold_upsampling(model)
with torch.no_grad():
    for side in (224, 256):
        latent = model.encode(torch.zeros(1, 3, side, side))
        quantised, codes = model.quantise(latent)
        result[side] = [list(part.shape) for part in (latent, codes, model.decode(quantised))]
"""


@pytest.mark.slow
@pytest.mark.parametrize("n_embed", [1024, 16384])
def test_published_widths_load_and_fit_in_memory(tmp_path: Path, n_embed: int) -> None:
    reference = Reference(256, n_embed, IMAGENET_F16)
    path = write_official(tmp_path, reference, IMAGENET_F16)
    result, peak = measured(LOAD, path)
    assert result["224"] == [[1, 256, 14, 14], [1, 14, 14], [1, 3, 224, 224]]
    assert result["256"] == [[1, 256, 16, 16], [1, 16, 16], [1, 3, 256, 256]]
    assert result["parameters"] == sum(part.numel() for part in reference.parameters()) - sum(
        part.numel() for part in reference.loss.parameters()
    )
    assert peak < 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {params: {embed_dim: 4, n_embed: 16}}", "expected model.params: embed_dim.*ddconfig"),
        ("model: {params: {embed_dim: 4, n_embed: 16, ddconfig: {depth: 3}}}", "expected the config of a VQGAN"),
        ("[", "expected model.params"),
    ],
)
def test_bad_official_config_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = official(tmp_path)
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load_vqgan(path, config_path=tmp_path / "model.yaml")


def test_official_checkpoint_needs_its_config(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a config file beside"):
        load_vqgan(official(tmp_path))


def test_model_imports_no_slow_package() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import variad.networks.vqgan;"
        "print([name for name in ('torchvision', 'timm', 'kornia', 'skimage', 'matplotlib', 'sklearn', 'pandas',"
        "'pytorch_lightning') if name in sys.modules])"
    )
    library = str(Path(__file__).parents[2] / "workflow" / "lib")
    found = subprocess.run([sys.executable, "-c", code, library], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_shipped_weights_are_those_of_their_card_and_measurement() -> None:
    folder = Path(__file__).parents[2] / "resources" / "vqgan_small"
    report = json.loads((folder / "quality.json").read_text("utf-8"))
    found = sha256(folder / "model.safetensors")
    assert report["sha256"] == found and found in (folder / "README.md").read_text("utf-8")
    model = load_vqgan(folder / "model.safetensors", sha256=found)
    assert model.factor == 4 and model.config.in_channels == 3
    # The last ones of the held-out textiles: a few of the hundred that the card measures, so only roughly its value.
    quality = measure(model, textiles(True)[97:100])
    assert quality.psnr == pytest.approx(report["quality"]["held_out_textiles"]["psnr"], abs=1.5)


def test_without_norms_levels_scale_through():
    """GroupNorm makes a picture and the same at twice the contrast one and the same latent, but for the biases."""
    torch.manual_seed(0)
    images = torch.rand(1, 3, 16, 16) - 0.5
    with_norms, without = (VQGAN(replace(TINY, norm_groups=groups)).eval() for groups in (4, 0))
    assert not any(isinstance(module, torch.nn.GroupNorm) for module in without.modules())
    ratios = []
    for model in (with_norms, without):
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.zeros_(parameter)
        with torch.no_grad():
            ratios.append(float(model.encode(100 * images).std() / model.encode(50 * images).std()))
    assert ratios == [pytest.approx(1, abs=0.1), pytest.approx(2, abs=0.3)]
