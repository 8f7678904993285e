"""The fused group norm, by Triton's interpreter where there is no GPU, against torch's own in float64."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from variad.networks.group_norm import FrozenGroupNorm, fused, norms_stay_channels_last

INTERPRETED = """
import torch
from tests.networks.test_group_norm import CASES, compare

for case in CASES:
    compare(*case, "cpu")
"""
# images, channels, height, width, groups, SiLU, precision and the error it may have
CASES = [
    (2, 32, 5, 7, 4, True, torch.float32, 3e-6),
    (3, 96, 9, 11, 32, True, torch.float32, 3e-6),  # 96 is no power of two, 99 positions no multiple of a tile
    (2, 64, 12, 12, 32, False, torch.float32, 3e-6),
    (2, 64, 20, 20, 32, True, torch.bfloat16, 6e-3),
]


def compare(images, channels, height, width, groups, silu, dtype, most, device):
    """Values and gradients against float64, with channels whose means are many times their spread."""
    generator = torch.Generator().manual_seed(0)
    spread, mean = (
        torch.rand(1, channels, 1, 1, generator=generator),
        torch.randn(1, channels, 1, 1, generator=generator),
    )
    x = (torch.randn(images, channels, height, width, generator=generator) * spread + 20 * mean).to(device, dtype)
    weight, bias = ((torch.rand(channels, generator=generator) + shift).to(device, dtype) for shift in (0.5, -0.5))
    gradient = torch.randn(x.shape, generator=generator).to(device, dtype)

    def both(norm, *tensors):
        given = tensors[0].detach().clone().requires_grad_()
        y = norm(given, *tensors[1:])
        return y.detach(), torch.autograd.grad(y, given, gradient.to(y))[0]

    def exact(x, weight, bias):
        y = functional.group_norm(x, groups, weight, bias, 1e-6)
        return functional.silu(y) if silu else y

    wanted = both(exact, x.double(), weight.double(), bias.double())
    found = both(lambda *given: fused(*given, groups, 1e-6, silu), x, weight, bias)
    assert found[0].dtype == dtype and found[0].is_contiguous(memory_format=torch.channels_last)
    for value, other in zip(found, wanted, strict=True):
        error = (value.double() - other).norm() / other.norm()
        assert error < most, f"{channels} channels, {dtype}: {error:.1e}"


@pytest.mark.slow
def test_the_kernels_give_what_torch_gives():
    pytest.importorskip("triton", reason="Triton has no wheels for this system")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", INTERPRETED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.parametrize("case", [*CASES, (4, 512, 28, 28, 32, True, torch.bfloat16, 6e-3)])
def test_the_kernels_on_a_gpu(case):
    assert norms_stay_channels_last(torch.device("cuda"))
    compare(*case, "cuda")


@pytest.mark.gpu
def test_the_kernels_repeat_their_results():
    x = torch.randn(3, 128, 100, 100, device="cuda", requires_grad=True)
    weight, bias = torch.rand(2, 128, device="cuda")
    gradient = torch.randn_like(x)

    def both():
        y = fused(x, weight, bias, 32, 1e-6, True)
        return y.detach(), torch.autograd.grad(y, x, gradient)[0]

    for one, other in zip(both(), both(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("silu", [True, False])
def test_without_a_gpu_it_is_torchs_norm(silu):
    norm = nn.GroupNorm(4, 16, eps=1e-6)
    nn.init.normal_(norm.weight)
    x = torch.randn(2, 16, 3, 5)
    wanted = functional.silu(norm(x)) if silu else norm(x)
    torch.testing.assert_close(FrozenGroupNorm(norm, silu)(x), wanted, rtol=0, atol=0)
    assert norms_stay_channels_last(torch.device("cpu"))
