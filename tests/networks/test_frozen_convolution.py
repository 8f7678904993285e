"""The frozen convolution against torch's own layers, values and gradients."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from variad.networks import frozen_convolution
from variad.networks.frozen_convolution import FrozenConvolution, same_kernel

LAYERS = [
    # channels in and out, kernel, stride, groups
    (3, 32, 3, 2, 1),
    (8, 24, 1, 1, 1),
    (24, 24, 3, 1, 24),
    (24, 24, 5, 1, 24),
    (24, 24, 3, 2, 24),
    (24, 24, 5, 2, 24),
]


def padded_same(x, kernel):
    """Zeros around ``x`` as TensorFlow's documentation of ``SAME`` counts them, for a stride of 2."""
    widths = []
    for side in reversed(x.shape[-2:]):
        total = max((-(-side // 2) - 1) * 2 + kernel - side, 0)
        widths += [total // 2, total - total // 2]
    return functional.pad(x, widths)


def reference(layer, x, clamp):
    """The same by torch's layers, in the precision of ``x``."""
    weight, bias, kernel = layer.weight.to(x), layer.bias.to(x), layer.kernel_size[0]
    if layer.stride[0] == 1:
        y = functional.conv2d(x, weight, bias, padding=kernel // 2, groups=layer.groups)
    else:
        y = functional.conv2d(padded_same(x, kernel), weight, bias, 2, groups=layer.groups)
    return functional.relu6(y) if clamp else y


def made(inside, outside, kernel, stride, groups):
    torch.manual_seed(kernel + stride)
    layer = nn.Conv2d(inside, outside, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)
    nn.init.normal_(layer.weight, std=3 / (inside // groups) ** 0.5)  # so that ReLU6 cuts off at both of its ends
    return layer


def assert_near(found, wanted, part):
    """Rounding goes with the largest of the numbers that are added, not with their sum."""
    torch.testing.assert_close(found.double(), wanted.double(), rtol=0, atol=part * float(wanted.detach().abs().max()))


def decided(layer, x):
    """1 where rounding cannot decide whether an output is clamped, else 0: for what a gradient is compared by."""
    sums = reference(layer, x.double(), clamp=False)
    return ((sums.abs() > 1e-3) & ((sums - 6).abs() > 1e-3)).to(x)


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("height, width", [(16, 16), (9, 12), (8, 11), (1, 2)])
@pytest.mark.parametrize("layer", LAYERS)
def test_values_and_gradients_equal_torchs(layer, height, width, clamp):
    convolution = made(*layer)
    frozen = FrozenConvolution(convolution, clamp)
    images = torch.randn(2, layer[0], height, width).contiguous(memory_format=torch.channels_last)
    exact, x = images.double().requires_grad_(), images.clone().requires_grad_()
    wanted, found = reference(convolution, exact, clamp), frozen(x)
    assert_near(found, wanted, 5e-6)
    if clamp and height > 1:
        assert (found == 0).any() and (found == 6).any() and ((found > 0) & (found < 6)).any()
    weights = torch.randn_like(found) * decided(convolution, images)
    (of_exact,) = torch.autograd.grad((wanted * weights).sum(), exact)
    (of_x,) = torch.autograd.grad((found * weights).sum(), x)
    assert of_x.abs().max() > 0
    assert_near(of_x, of_exact, 5e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_without_onednn_the_same(layer, monkeypatch):
    convolution = made(*layer)
    frozen, x = FrozenConvolution(convolution, clamp=True), torch.randn(2, layer[0], 16, 12).requires_grad_()
    fast, weights = frozen(x), decided(convolution, x)
    (of_fast,) = torch.autograd.grad((fast * weights).sum(), x)
    monkeypatch.setattr(frozen_convolution, "packs_convolutions", lambda dtype: False)
    slow = frozen(x)
    (of_slow,) = torch.autograd.grad((slow * weights).sum(), x)
    assert_near(fast, slow, 5e-6)
    assert_near(of_fast, of_slow, 5e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_in_bfloat16_it_is_near_and_says_its_precision(layer, has_bfloat16):
    convolution = made(*layer)
    for clamp in (True, False):
        frozen = FrozenConvolution(convolution, clamp)
        x = torch.randn(2, layer[0], 16, 12).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            found = frozen(x)
        # the wide activations are halved, the terms of sums are not
        assert found.dtype == (torch.bfloat16 if clamp else torch.float32)
        wanted = reference(convolution, x, clamp)
        assert (found - wanted).abs().max() < 0.02 * reference(convolution, x, clamp=False).abs().max()
        (of_found,) = torch.autograd.grad(found.float().square().sum(), x)
        (of_wanted,) = torch.autograd.grad(wanted.square().sum(), x)
        assert of_found.dtype == torch.float32
        assert functional.cosine_similarity(of_found.flatten(), of_wanted.flatten(), dim=0) > 0.98


@pytest.mark.usefixtures("has_bfloat16")
@pytest.mark.parametrize("dtype, part", [(torch.bfloat16, 0.02), (torch.float64, 1e-12)])
@pytest.mark.parametrize("layer", LAYERS)
def test_without_autocast_it_computes_in_its_inputs_precision(layer, dtype, part):
    convolution = made(*layer)
    x = torch.randn(2, layer[0], 16, 12).to(dtype)
    found, sums = FrozenConvolution(convolution, clamp=True)(x), reference(convolution, x.double(), clamp=False)
    assert found.dtype == dtype
    assert (found.double() - sums.clamp(0, 6)).abs().max() < part * sums.abs().max()


def test_images_do_not_depend_on_each_other_or_on_what_came_before():
    layer = FrozenConvolution(made(8, 24, 1, 1, 1), clamp=True)
    images = torch.randn(20, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    alone = torch.cat([layer(image[None]) for image in images])
    torch.testing.assert_close(layer(images), alone, rtol=1e-6, atol=1e-6)
    again = copy.deepcopy(FrozenConvolution(made(8, 24, 1, 1, 1), clamp=True))
    torch.testing.assert_close(again(images), alone, rtol=1e-6, atol=1e-6)


def test_there_is_nothing_to_train():
    layer = FrozenConvolution(made(8, 24, 1, 1, 1), clamp=False)
    assert not list(layer.parameters()) and sorted(layer.state_dict()) == ["bias", "weight"]


@pytest.mark.parametrize("height, width", [(16, 16), (9, 12), (1, 2)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_same_padding_without_a_padded_copy(kernel, height, width):
    x, weight = torch.randn(2, 4, height, width).double(), torch.randn(6, 4, kernel, kernel).double()
    wanted = functional.conv2d(padded_same(x, kernel), weight, None, 2)
    torch.testing.assert_close(functional.conv2d(x, same_kernel(weight, x), None, 2, kernel // 2), wanted)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("sides", [(16, 16), (15, 16), (9, 7)])
def test_an_exported_graph_has_torchs_own_convolution_with_the_same_values(layer, sides, monkeypatch):
    layer = made(*layer)
    x = torch.randn(2, layer.in_channels, *sides, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    monkeypatch.setattr(frozen_convolution, "convolve_packed", None)  # is not called
    found = FrozenConvolution(layer, clamp=True)(x)
    torch.testing.assert_close(found, reference(layer, x, True), rtol=1e-5, atol=1e-5)
