import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from variad.detectors.reverse_distillation_networks import ResidualBlock, conv_norm, fold_normalisation, spatial_norm


def test_basic_block_by_its_parts():
    block = ResidualBlock("basic", 4, 6, down=2)
    first, _, second = block.residual
    given = torch.randn(3, 4, 7, 7)
    inner = second(functional.relu(first(given)))
    expected = functional.relu(inner + block.shortcut(given))
    np.testing.assert_allclose(block(given).detach(), expected.detach(), atol=1e-5)
    assert block(given).shape == (3, 6, 4, 4)
    assert first[0].kernel_size == (3, 3) and block.shortcut[0].kernel_size == (1, 1)


def test_bottleneck_widths_follow_the_factor():
    block = ResidualBlock("bottleneck", 16, 32, up=2, width_factor=2)
    assert [tuple(layer[0].weight.shape) for layer in block.residual[::2]] == [
        (16, 16, 1, 1),
        (16, 16, 2, 2),
        (32, 16, 1, 1),
    ]
    assert isinstance(block.residual[2][0], nn.ConvTranspose2d)
    assert block(torch.randn(2, 16, 5, 5)).shape == (2, 32, 10, 10)


def test_a_block_that_changes_nothing_has_a_plain_shortcut():
    assert isinstance(ResidualBlock("basic", 4, 4).shortcut, nn.Identity)
    given = torch.randn(2, 4, 3, 3)
    block = ResidualBlock("basic", 4, 4, rectified=False)
    nn.init.zeros_(block.residual[2][1].weight)
    kept = given.clone()
    np.testing.assert_array_equal(block(given).detach(), given)
    assert torch.equal(given, kept)


@pytest.mark.parametrize(("stride", "kernel"), [(1, 3), (2, 3), (3, 3), (4, 5), (8, 9)])
def test_a_strided_convolution_passes_over_no_position(stride, kernel):
    layer = spatial_norm(2, 3, stride)
    assert layer[0].kernel_size == (kernel, kernel)
    assert layer(torch.randn(2, 2, 16, 16)).shape[2] == -(-16 // stride)


def test_convolutions_start_as_kaimings():
    weights = conv_norm(64, 128, 3)[0].weight
    assert weights.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_folding_changes_no_output(kind):
    torch.manual_seed(0)
    network = nn.Sequential(
        ResidualBlock(kind, 4, 8, down=2), ResidualBlock(kind, 8, 8), ResidualBlock(kind, 8, 4, up=2)
    )
    for _ in range(3):  # running statistics that are not 0 and 1
        network(torch.randn(5, 4, 8, 8) + 2)
    given = torch.randn(2, 4, 8, 8)
    expected = network.eval()(given)
    folded = fold_normalisation(network)
    np.testing.assert_allclose(folded(given), expected.detach(), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
