"""The generator on a GPU beside the CPU: what has to agree, how closely, and what has to repeat."""

import dataclasses
import logging

import numpy as np
import pytest
import torch
from torch.nn import functional

from variad.core.precision import Arithmetic
from variad.generation.engine import bytes_at_peak, free_bytes, generate
from variad.generation.guidance import Guide
from variad.generation.steps import Steps, guide
from variad.networks.backbones import Lite0Backbone
from variad.networks.conse import ConSE
from variad.networks.vqgan import load_vqgan

from .conftest import TinyEncoder, make_vqgan, requests_of

pytestmark = pytest.mark.gpu
WANTED = requests_of(11, 12, 13, 14, 15)


class CudaEncoder(TinyEncoder):
    """Which can be cast, as CLIP can."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.weight = self.weight.to("cuda", dtype)

    def cast(self, dtype):
        return CudaEncoder(dtype)

    def encode_image(self, images):
        small = functional.adaptive_avg_pool2d(images, 8).flatten(1) - 0.5
        return functional.normalize((small.to(self.weight) @ self.weight).float(), dim=1)


def starts(count):
    return torch.randn(count, 4, 16, 16, generator=torch.Generator().manual_seed(3))


def generators(count):
    return [torch.Generator().manual_seed(place) for place in range(count)]


@pytest.fixture
def guided(settings):
    return settings(guidance=1.0, iterations=5, anchor=0.5)


@pytest.mark.parametrize("output", ["decoded", "residual"])
def test_images_without_guidance_are_the_cpus(parents, settings, output):
    """Within one of 255 levels: nothing amplifies the rounding."""
    values = settings(noise_scale=0.5, output=output)
    wanted = generate(parents, WANTED, values, make_vqgan())
    found = generate(parents, WANTED, values, make_vqgan(), device="cuda")
    apart = np.abs(found.images.astype(int) - wanted.images)
    assert apart.max() <= 1 or (apart > 1).mean() < 1e-3  # a latent between two codes may go to the other
    np.testing.assert_allclose(found.distance, wanted.distance, rtol=1e-2)


def test_the_first_look_is_the_cpus_and_guidance_gains_as_much(parents, texts, settings):
    values = settings(guidance=1.0, iterations=20, anchor=0.0)
    wanted = generate(parents, WANTED, values, make_vqgan(), Guide(TinyEncoder(), texts))
    for precision, close in (("float32", 1e-4), ("tf32", 5e-3), ("bfloat16", 3e-2)):
        own = dataclasses.replace(values, precision=precision)
        found = generate(parents, WANTED, own, make_vqgan(), Guide(CudaEncoder(), texts), "cuda")
        np.testing.assert_allclose(found.trace["loss"][:, 0], wanted.trace["loss"][:, 0], rtol=close)
        np.testing.assert_allclose(found.trace["similarity"][:, 0], wanted.trace["similarity"][:, 0], atol=close)
        gains = [made.trace["similarity"][:, -1] - made.trace["similarity"][:, 0] for made in (found, wanted)]
        assert (gains[0] > 0.02).all() and abs(gains[0].mean() - gains[1].mean()) < 0.2 * gains[1].mean()


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_two_runs_are_equal(parents, texts, settings, precision):
    values = settings(guidance=1.0, iterations=10, precision=precision)
    one, other = (
        generate(parents, WANTED, values, make_vqgan(), Guide(CudaEncoder(), texts), "cuda") for _ in range(2)
    )
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.trace["loss"], other.trace["loss"])
    np.testing.assert_array_equal(one.steps, other.steps)


def test_two_runs_with_conse_and_the_small_vqgan_are_equal(settings):
    from ..rule_packages import ROOT

    classes = functional.normalize(torch.randn(1000, 64, generator=torch.Generator().manual_seed(0)), dim=1).cuda()
    backbone = Lite0Backbone(["stage7"]).cuda()
    encoder = ConSE(backbone.forward_logits, classes, classes.mean(dim=0), resolution=128)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    values = settings(guidance=1.0, iterations=10, cutouts=4, precision="bfloat16")

    def made():
        vqgan = load_vqgan(ROOT / "resources/vqgan_small/model.safetensors")
        return generate(images, WANTED[:3], values, vqgan, Guide(encoder, classes[[1, 2, 3]].cpu()), "cuda")

    one, other = made(), made()
    assert (one.trace["similarity"][:, -1] > one.trace["similarity"][:, 0]).all()
    np.testing.assert_array_equal(one.images, other.images)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_graph_gives_what_steps_one_by_one_give(texts, guided, precision, caplog):
    by = Guide(CudaEncoder(), texts.cuda())
    found = []
    with caplog.at_level(logging.WARNING, logger="variad"):
        for graph in (True, False):
            steps = Steps(make_vqgan().cuda(), by.encoder, guided, "cuda", Arithmetic(precision, True, graph))
            own = [guide(starts(n).cuda(), by.rows(slice(n)), make_vqgan().cuda(), guided, generators(n), steps=steps)
                   for n in (5, 5, 3)]  # fmt: skip
            assert steps.arithmetic.graph is graph  # it did not fall back
            found.append(own)
    assert not caplog.records  # nor did the norms
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one.images, other.images, rtol=0, atol=0)
        torch.testing.assert_close(one.loss, other.loss, rtol=0, atol=0)


def test_a_batch_of_another_size_has_the_same_first_look(parents, texts, settings):
    """What holds of batches on a GPU: the start is the same up to rounding; guided steps then amplify that."""
    values = settings(guidance=1.0, iterations=3)
    whole, pairs = (
        generate(parents, WANTED, dataclasses.replace(values, batch_size=size), make_vqgan(),
                 Guide(CudaEncoder(), texts), "cuda")
        for size in (5, 2)
    )  # fmt: skip
    np.testing.assert_allclose(whole.trace["loss"][:, 0], pairs.trace["loss"][:, 0], rtol=1e-5)


def test_the_peak_of_a_batch_is_what_was_said_of_an_image():
    per_image = bytes_at_peak(lambda count: torch.empty(count, 25_000_000, device="cuda").exp())
    assert per_image == pytest.approx(2 * 100_000_000, rel=0.05)  # itself and its exponential


def test_memory_that_torch_keeps_is_free():
    before = free_bytes("cuda")
    block = torch.empty(2**28, device="cuda")
    held = free_bytes("cuda")
    del block
    assert before - held == pytest.approx(2**30, rel=0.1)
    assert abs(free_bytes("cuda") - before) < 2**26
