"""What libraries keep to themselves still means what ``private_apis`` takes it for."""

import platform

import pytest
import torch
from torch import nn
from torch.nn import functional

from variad.core.precision import X86, packs_convolutions
from variad.networks import private_apis

packs = pytest.mark.skipif(not packs_convolutions(torch.float32), reason="torch packs no convolutions here")


@packs
@pytest.mark.parametrize("groups, stride, kernel", [(1, 1, 1), (1, 2, 3), (8, 1, 3), (8, 2, 5)])
@pytest.mark.parametrize("ceiling", [None, 6.0])
def test_a_packed_convolution_equals_torchs(groups, stride, kernel, ceiling):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, 9, 12, generator=generator).contiguous(memory_format=torch.channels_last) * 4
    weight = torch.randn(16, 8 // groups, kernel, kernel, generator=generator)
    bias, padding = torch.randn(16, generator=generator), kernel // 2
    packed = private_apis.pack_kernel(weight, x.shape, stride, padding, groups)
    found = private_apis.convolve_packed(x, packed, bias, stride, padding, groups, ceiling)
    wanted = functional.conv2d(x, weight, bias, stride, padding, groups=groups)
    wanted = wanted if ceiling is None else wanted.clamp(0, ceiling)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(platform.machine() not in X86, reason="oneDNN's convolutions are used on x86 alone")
def test_torch_for_x86_packs_convolutions():
    assert packs_convolutions(torch.float32), "torch.ops.mkldnn has lost _convolution_pointwise"
    assert hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")


def test_tamings_layers_look_their_activation_up(monkeypatch):
    from taming.modules.diffusionmodules import model

    monkeypatch.setattr(model, "nonlinearity", lambda x: pytest.fail("taming's own activation"))
    block = model.ResnetBlock(in_channels=32, out_channels=32, dropout=0.0, temb_channels=0).eval()
    x = torch.randn(1, 32, 4, 4, generator=torch.Generator().manual_seed(0))
    private_apis.give_taming_silu()
    inner = block.conv1(functional.silu(block.norm1(x)))
    torch.testing.assert_close(block(x, None), x + block.conv2(functional.silu(block.norm2(inner))))


def test_lpips_has_its_own_heads_and_a_random_alexnet():
    pytest.importorskip("torchvision")
    networks = [private_apis.untrained_lpips() for _ in range(2)]
    heads = [dict(network.lins.named_parameters()) for network in networks]
    assert heads[0] and all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    convolutions = [[part for part in network.net.modules() if isinstance(part, nn.Conv2d)] for network in networks]
    assert [part.out_channels for part in convolutions[0]] == [64, 192, 384, 256, 256]
    assert not torch.equal(convolutions[0][0].weight, convolutions[1][0].weight)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert networks[0](images, images, normalize=True).flatten().tolist() == [0, 0]
        assert networks[0](images, images.flip(0), normalize=True).min() > 0


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"class_token": False, "global_pool": "avg"}, {"reg_tokens": 2}])
def test_tokens_are_what_a_vision_transformers_own_forward_gives_its_blocks(options):
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(32, 8, embed_dim=16, depth=1, num_heads=2, num_classes=3, **options).eval()
    seen = []
    model.blocks[0].register_forward_hook(lambda _module, given, _out: seen.append(given[0]))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.forward_features(images)
        assert private_apis.has_token_positions(model)
        torch.testing.assert_close(private_apis.tokens_of(model, images), seen[0])


@pytest.mark.slow
def test_a_network_of_convolutions_has_no_tokens():
    import timm

    assert not private_apis.has_token_positions(timm.create_model("resnet18", pretrained=False))
