"""What this processor can do, on whatever processor: the answers are forced both ways."""

import logging
import os
import platform
import subprocess
import sys

import pytest
import torch

from variad.core import precision
from variad.core.precision import autocast, in_bfloat16, packs_convolutions


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
