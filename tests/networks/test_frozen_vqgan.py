"""A VQGAN as a GPU wants it, on a CPU that passes for one, beside the network as it was loaded."""

import pytest
import torch
from torch import nn

from variad.core.precision import Arithmetic
from variad.networks.frozen_vqgan import on_device
from variad.networks.vqgan import VQGAN, VQGANConfig, fold_upsampling

SHAPES = {  # norm_groups, attn_resolutions, ch_mult, mid_attention
    "norms": (4, (), (1, 2), True),
    "attention": (32, (16,), (1, 2, 2), True),
    "without either": (0, (), (1, 1, 2), False),
}


def relative(found, wanted):
    return float((found.detach().double() - wanted.detach().double()).norm() / wanted.detach().double().norm())


@pytest.fixture(params=SHAPES)
def model(request):
    groups, attention, multiples, middle = SHAPES[request.param]
    config = VQGANConfig(
        embed_dim=8, n_embed=64, z_channels=8, ch=32, ch_mult=multiples, num_res_blocks=1,
        attn_resolutions=attention, resolution=64, norm_groups=groups, mid_attention=middle,
    )  # fmt: skip
    torch.manual_seed(0)
    model = VQGAN(config).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.GroupNorm):
            module.weight.normal_(1, 0.3)
            module.bias.normal_(0, 0.3)
    return model


def answers(model, images):
    """Latents of images, the images decoded, and the gradient of the latents."""
    latent = model.encode(images)
    given = latent.detach().clone().requires_grad_()
    decoded = model.decode(model.quantise(given)[0])
    return latent, decoded, torch.autograd.grad(decoded.square().sum(), given)[0]


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("precision, most", [("float32", 1e-4), ("bfloat16", 0.12)])
def test_it_gives_the_same_images_and_gradients(model, fold, precision, most):
    if fold:
        fold_upsampling(model)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    wanted = answers(model, images)
    other = on_device(model, Arithmetic(precision, gpu=True), "cpu")
    latent, *_ = found = answers(other, images)
    assert latent.dtype == torch.float32 and found[1].dtype == torch.float32
    # each decodes the latent that it encoded; one place in another code would be no error of a layer's
    torch.testing.assert_close(other.quantise(wanted[0])[1], model.quantise(wanted[0])[1])
    decoded = other.decode(model.quantise(wanted[0])[0])
    assert 0 < relative(latent, wanted[0]) < most
    assert 0 < relative(decoded, wanted[1]) < most
    for value, same in zip(answers(model, images), wanted, strict=True):
        torch.testing.assert_close(value, same, rtol=0, atol=0)  # the model itself is as it was


def test_weights_are_cast_once_and_shared_where_they_need_not_be(model):
    exact = on_device(model, Arithmetic("tf32", gpu=True), "cpu")
    again = on_device(exact, Arithmetic("float32", gpu=True), "cpu")
    rounded = on_device(exact, Arithmetic("bfloat16", gpu=True), "cpu")
    assert again.decoder is exact.decoder and again.codebook is model.codebook
    assert {weight.dtype for weight in rounded.decoder.state_dict().values()} == {torch.bfloat16}
    assert {weight.dtype for weight in exact.decoder.state_dict().values()} == {torch.float32}
    assert rounded.codebook.dtype == rounded.post_quant_conv.weight.dtype == torch.float32


def test_on_a_cpu_it_is_the_model_itself(model):
    assert on_device(model, Arithmetic.of("bfloat16", "cpu"), "cpu") is model
    assert model.decoder.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
