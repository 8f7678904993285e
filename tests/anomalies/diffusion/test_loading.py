"""Diffusion models by their config entries."""

import copy
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml
from diffusers import DDPMPipeline, DDPMScheduler
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import nn

from tests.anomalies.diffusion.conftest import TINY, tiny_model
from variad.core.errors import UserError
from variad.core.files import sha256
from variad.core.precision import Arithmetic
from variad.networks.diffusion_models import (
    DiffusionModel,
    SmallUNetConfig,
    linear_alphas_cumprod,
    load_diffusion,
    on_device,
)
from variad.networks.weights import save_weights

SHIPPED = Path(__file__).parents[3] / "resources" / "ddpm_small" / "model.safetensors"


@pytest.fixture
def small(model: DiffusionModel, tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_weights(path, model.unet.state_dict(), asdict(TINY), half=False)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=4,
    )
    DDPMPipeline(unet, DDPMScheduler(100, beta_schedule="squaredcos_cap_v2")).save_pretrained(tmp_path / "pipeline")
    unet.save_pretrained(tmp_path / "network")
    return tmp_path


def test_a_small_model_comes_back(model: DiffusionModel, small: Path, images: torch.Tensor, has_bfloat16: bool) -> None:
    loaded = load_diffusion({"kind": "small", "weights": str(small), "sha256": sha256(small)})
    assert (loaded.resolution, loaded.skip_free_levels, loaded.times) == (16, 1, 1000)
    assert not loaded.unet.training and not any(weight.requires_grad for weight in loaded.unet.parameters())
    torch.testing.assert_close(loaded.epsilon(images, 500), model.epsilon(images, 500), rtol=1e-4, atol=1e-5)
    bfloat = load_diffusion({"kind": "small", "weights": str(small), "precision": "bfloat16"}).epsilon(images, 500)
    assert bfloat.dtype == torch.float32 and torch.equal(bfloat, loaded.epsilon(images, 500)) != has_bfloat16
    torch.testing.assert_close(bfloat, model.epsilon(images, 500), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("precision, most", [("tf32", 1e-5), ("bfloat16", 0.03)])
def test_as_a_gpu_wants_them_weights_are_cast_once(
    model: DiffusionModel, folder: Path, images: torch.Tensor, precision: str, most: float
) -> None:
    """On a CPU that passes for a GPU; with attention, whose norm sees positions in a row, and gradients through h."""
    with_attention = load_diffusion({"kind": "diffusers", "weights": str(folder / "network"), "resolution": 16})
    for plain in (with_attention, model):
        unet = on_device(copy.deepcopy(plain.unet), Arithmetic(precision, gpu=True), "cpu")
        assert not any(isinstance(module, nn.GroupNorm) for module in unet.modules())
        assert {weight.dtype for weight in unet.parameters()} == {Arithmetic(precision, gpu=True).weights}
        shift = torch.zeros(1, 16, 1, 1, requires_grad=True)
        found = replace(plain, unet=unet).epsilon(images, 50, lambda h, t, shift=shift: h + shift)
        wanted = plain.epsilon(images, 50)
        assert found.dtype == torch.float32
        error = float((found.detach() - wanted).norm() / wanted.norm())
        assert error < most and (error > 1e-4) == (precision == "bfloat16")
        (gradient,) = torch.autograd.grad(found.square().sum(), shift)
        assert gradient.abs().max() > 0


@pytest.mark.gpu
@pytest.mark.parametrize("precision, most", [("float32", 1e-5), ("tf32", 3e-3), ("bfloat16", 0.03)])
def test_on_a_gpu_they_see_the_cpus_noise(folder: Path, images: torch.Tensor, precision: str, most: float) -> None:
    entry = {"kind": "diffusers", "weights": str(folder / "network"), "resolution": 16}
    wanted = load_diffusion(entry).epsilon(images, 50)
    model = load_diffusion({**entry, "precision": precision}, "cuda")
    found = [model.epsilon(images.cuda(), 50) for _ in range(2)]
    assert torch.equal(*found)
    assert (found[0].cpu() - wanted).norm() / wanted.norm() < most


def test_a_pipeline_and_a_network_of_diffusers(folder: Path, images: torch.Tensor) -> None:
    pipeline, network = (
        load_diffusion({"kind": "diffusers", "weights": str(folder / name)}) for name in ("pipeline", "network")
    )
    torch.testing.assert_close(pipeline.epsilon(images, 50), network.epsilon(images, 50))
    wanted = DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod
    torch.testing.assert_close(pipeline.alphas_cumprod, wanted.double())
    assert torch.equal(network.alphas_cumprod, linear_alphas_cumprod())
    assert pipeline.resolution == network.resolution == 16 and pipeline.skip_free_levels == 0


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"kind": "large"}, "^diffusion_models: expected kind small, adm, diffusers, found large.$"),
        ({"kind": "small"}, "^diffusion_models: expected weights of a model of kind small, found none.$"),
        (
            {"kind": "small", "weights": "none.safetensors"},
            "^none.safetensors: expected a file of weights, found no such file.$",
        ),
    ],
)
def test_absent_weights_are_one_sentence(entry: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_diffusion(entry)


def test_a_folder_without_a_network_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a folder or a hub's name of a UNet2DModel, found none\.$"):
        load_diffusion({"kind": "diffusers", "weights": str(tmp_path)})


def test_weights_that_do_not_fit_are_one_sentence(small: Path, folder: Path, model: DiffusionModel) -> None:
    entry = {"kind": "small", "weights": str(small)}
    with pytest.raises(UserError, match=r"small.safetensors: expected sha256 0{64}, found [0-9a-f]{64}\.$"):
        load_diffusion({**entry, "sha256": "0" * 64})
    with pytest.raises(UserError, match=r"expected a resolution that is a multiple of 4, found 30\.$"):
        load_diffusion({**entry, "resolution": 30})
    state = {key.replace("conv_in", "first"): tensor for key, tensor in model.unet.state_dict().items()}
    save_weights(small, state, asdict(TINY))
    wrong = r"wrong keys: conv_in.bias \(missing\), conv_in.weight \(missing\), first.bias \(unknown\)\.$"
    with pytest.raises(UserError, match=wrong):
        load_diffusion(entry)
    save_weights(small, model.unet.state_dict(), {"depth": 3})
    with pytest.raises(UserError, match=r"expected the config of train_ddpm's network, found: .*depth"):
        load_diffusion(entry)
    other = UNet2DModel(
        sample_size=16,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8,),
        norm_num_groups=4,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
    )
    other.save_pretrained(folder / "grey")
    with pytest.raises(UserError, match="expected an unconditional diffusion model of RGB images, found another"):
        load_diffusion({"kind": "diffusers", "weights": str(folder / "grey")})
    DDPMPipeline(other, DDPMScheduler(prediction_type="sample")).scheduler.save_pretrained(folder / "network")
    with pytest.raises(UserError, match="expected a diffusion model that predicts epsilon, found sample"):
        load_diffusion({"kind": "diffusers", "weights": str(folder / "network")})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"resolution": 18}, "^resolution: expected a multiple of 4 for this network, found 18.$"),
        ({"channels": (8, 10, 16)}, r"^channels: expected multiples of groups = 4, found \[8, 10, 16\].$"),
        ({"skip_free_levels": 4}, "^skip_free_levels: expected at most 3, as many as channels, found 4.$"),
    ],
)
def test_networks_that_cannot_be_are_one_sentence(settings: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        SmallUNetConfig(**{**asdict(TINY), **settings})


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_the_picture_reaches_a_skip_free_level_through_the_bottleneck_alone(levels: int, images: torch.Tensor) -> None:
    model = tiny_model(SmallUNetConfig(**{**asdict(TINY), "skip_free_levels": levels}))
    seen: list[torch.Tensor] = []
    outermost = model.unet.up_blocks[max(levels - 1, 0)]
    hook = outermost.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        for batch in (images, images.flip(0)):
            model.epsilon(batch, 500, lambda h, _t: torch.ones_like(h))
    hook.remove()
    assert torch.equal(seen[0], seen[1]) == (levels > 0)


def test_the_shipped_weights_are_those_that_were_measured_and_that_the_default_names() -> None:
    quality = json.loads((SHIPPED.parent / "quality.json").read_text("utf-8"))
    entry = yaml.safe_load((SHIPPED.parents[2] / "config" / "config.yaml").read_text("utf-8"))["diffusion_models"]
    assert quality["sha256"] == sha256(SHIPPED) == entry["ddpm_small"]["sha256"]
    for category in ("elpv_mono", "elpv_poly"):
        assert quality["psnr"][category]["round_trip"]["50"]["least"] >= 36
        assert quality["psnr"][category]["mix_to_style"]["mean"] < 35


@pytest.mark.slow
def test_the_shipped_model_brings_cells_back_and_its_bottleneck_matters() -> None:
    from variad.anomalies.ddpm_quality import measure, to_images
    from variad.networks.vqgan_quality import elpv_cells

    model = load_diffusion({"kind": "small", "weights": str(SHIPPED), "precision": "bfloat16"})
    assert model.resolution == 64 and SHIPPED.stat().st_size < 12e6
    found = measure(model, to_images(elpv_cells("mono", 2), 64), [50])
    assert found["round_trip"]["50"]["least"] >= 36
    assert found["mix_to_style"]["mean"] < 35
