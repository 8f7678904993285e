"""What this processor can do, on whatever processor: the answers are forced both ways."""

import logging
import os
import platform
import subprocess
import sys

import pytest
import torch

from variad.core import precision
from variad.core.precision import Arithmetic, autocast, in_bfloat16, packs_convolutions, products


@pytest.fixture
def cpu(monkeypatch):
    """Give this CPU bfloat16, or take it away."""

    def give(supported):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)

    precision._warn.cache_clear()
    yield give
    precision._warn.cache_clear()


def test_only_where_it_is_asked_for(cpu):
    cpu(True)
    assert in_bfloat16("bfloat16", "cpu") and in_bfloat16("bfloat16", torch.device("cuda:0"))
    assert not in_bfloat16("float32", "cpu") and not in_bfloat16("float32", "cuda")


def test_a_cpu_without_it_computes_in_float32_and_says_so_once(cpu, caplog):
    cpu(False)
    with caplog.at_level(logging.WARNING, logger="variad"):
        assert not in_bfloat16("bfloat16", "cpu") and not in_bfloat16("bfloat16", torch.device("cpu"))
    assert [record.message for record in caplog.records] == [
        "precision: this CPU has no instructions for bfloat16; computing in float32 instead"
    ]
    assert in_bfloat16("bfloat16", "cuda")


@pytest.mark.parametrize("supported, wanted", [(True, torch.bfloat16), (False, torch.float32)])
def test_autocast_heeds_it(cpu, supported, wanted):
    cpu(supported)
    left, right = torch.ones(2, 3), torch.ones(3, 2)
    with autocast("bfloat16", "cpu"):
        assert (left @ right).dtype == wanted
    with autocast("float32", torch.device("cpu")):
        assert (left @ right).dtype == torch.float32


@pytest.mark.parametrize("machine, supported, wanted", [
    ("x86_64", True, [torch.float32, torch.bfloat16]), ("x86_64", False, [torch.float32]), ("aarch64", True, []),
])  # fmt: skip
def test_convolutions_are_packed_on_x86_in_what_the_cpu_has(cpu, monkeypatch, machine, supported, wanted):
    cpu(supported)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    every = (torch.float16, torch.float32, torch.float64, torch.bfloat16)
    assert [dtype for dtype in every if packs_convolutions(dtype)] == wanted


GUIDED = """
import torch
from variad.networks.backbones import Lite0Backbone
from variad.core.precision import autocast, in_bfloat16

images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)

def answer(context):
    with context:
        logits = Lite0Backbone(["stage7"]).forward_logits(images)
    return logits.detach(), torch.autograd.grad(logits.square().sum(), images)[0]

plain, asked = answer(autocast("float32", "cpu")), answer(autocast("bfloat16", "cpu"))
assert not in_bfloat16("bfloat16", "cpu")
assert all(torch.equal(*pair) for pair in zip(plain, asked)) and plain[1].abs().max() > 0
rounded = answer(torch.autocast("cpu", torch.bfloat16))  # by torch's own convolutions
for exact, found in zip(plain, rounded):
    assert torch.nn.functional.cosine_similarity(exact.flatten(), found.flatten(), dim=0) > 0.95
    assert not torch.equal(exact, found)
"""


@pytest.mark.skipif(platform.machine() not in precision.X86, reason="the variable is one of x86 processors")
def test_the_documented_variable_makes_an_older_processor_of_this_one():
    """oneDNN then refuses bfloat16 by itself: whoever does not ask first fails."""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", GUIDED], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "this CPU has no instructions for bfloat16; computing in float32 instead" in done.stderr


@pytest.mark.parametrize("asked, on_gpu, on_cpu, weights", [
    ("float32", "float32", "float32", torch.float32),
    ("tf32", "tf32", "float32", torch.float32),
    ("bfloat16", "bfloat16", "bfloat16", torch.bfloat16),
])  # fmt: skip
def test_what_each_precision_is_on_each_device(cpu, asked, on_gpu, on_cpu, weights):
    cpu(True)
    gpu, here = Arithmetic.of(asked, "cuda:1"), Arithmetic.of(asked, "cpu")
    assert (gpu.precision, gpu.gpu, gpu.graph, gpu.weights) == (on_gpu, True, True, weights)
    # a CPU's weights stay, whatever the precision: autocast casts them
    assert (here.precision, here.gpu, here.graph, here.weights) == (on_cpu, False, False, torch.float32)


def test_an_unknown_precision():
    with pytest.raises(ValueError, match="expected one of float32, tf32, bfloat16, found 'float16'"):
        Arithmetic.of("float16", "cuda")


def gpu_settings():
    return (
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.get_deterministic_debug_mode(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )  # fmt: skip


@pytest.mark.parametrize("precision, tf32", [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_a_gpu_uses_tf32_where_it_is_asked_for_and_kernels_that_repeat_until_it_is_done(precision, tf32):
    before = gpu_settings()
    assert before[1]  # torch's default: what float32 must not mean
    with pytest.raises(KeyError), Arithmetic.of(precision, "cuda").kernels():
        assert gpu_settings() == (tf32, tf32, 1, False)
        with products("float32", "cuda"):
            assert gpu_settings()[:2] == (False, False)
        assert gpu_settings()[:2] == (tf32, tf32)
        raise KeyError
    assert gpu_settings() == before


def test_a_cpu_is_left_as_it_is():
    """Threads that score at once on a CPU would otherwise restore each other's settings."""
    before = gpu_settings()
    with Arithmetic.of("float32", "cpu").kernels(), products("float32", "cpu"):
        assert gpu_settings() == before


@pytest.mark.gpu
def test_float32_is_float32_and_tf32_is_not():
    generator = torch.Generator().manual_seed(0)
    images, kernels = torch.randn(2, 64, 32, 32, generator=generator), torch.randn(64, 64, 3, 3, generator=generator)
    exact = torch.nn.functional.conv2d(images.double(), kernels.double())

    def error(precision):
        with Arithmetic.of(precision, "cuda").kernels():
            found = torch.nn.functional.conv2d(images.cuda(), kernels.cuda()).cpu()
            product = images.cuda().flatten(0, 2) @ images.cuda().flatten(0, 2).T
        whole = images.flatten(0, 2).double()
        return [
            float((given - wanted).norm() / wanted.norm())
            for given, wanted in ((found, exact), (product.cpu(), whole @ whole.T))
        ]

    assert all(value < 2e-5 for value in error("float32"))
    assert all(5e-5 < value < 5e-3 for value in error("tf32"))
