"""Both sides of ``benchmarks/kernels.py`` compute the same."""

import sys

import torch

from tests.rule_packages import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import kernels


def test_the_networks_gradients_are_the_same():
    ours, plain = (side() for side in kernels.lite0(1))
    assert float(plain.abs().max()) > 1e-3
    # where rounding decides whether a ReLU6 clamps, single gradients differ
    assert torch.nn.functional.cosine_similarity(ours.flatten(), plain.flatten(), dim=0) > 0.9999


def test_the_flows_gradients_are_the_same():
    ours, plain = (side() for side in kernels.flow(channels=6, count=9, blocks=3))
    torch.testing.assert_close(ours[0], plain[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours[1], plain[1], rtol=1e-3, atol=1e-5 * float(plain[1].abs().max()))


def test_turns_are_timed():
    calls = []
    ours, plain = kernels.turns(lambda: calls.append("ours"), lambda: calls.append("plain"), 3)
    assert calls == ["ours", "plain"] * 5 and ours >= 0 and plain >= 0
