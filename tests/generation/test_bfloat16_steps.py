"""Guided steps in bfloat16 with the models that ship: rounding matters less than which crops are drawn."""

import numpy as np
import pytest
import torch
from skimage import color, data
from torch.nn import functional

from variad.core.precision import Arithmetic
from variad.generation.guidance import Guide, draw_windows
from variad.generation.steps import GuidedBatch, Sight, guide, look
from variad.networks.backbones import Lite0Backbone
from variad.networks.conse import ConSE
from variad.networks.features import to_tensor
from variad.networks.vqgan import load_vqgan

from ..rule_packages import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vqgan():
    return load_vqgan(ROOT / "resources/vqgan_small/model.safetensors").to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def start(vqgan):
    pictures = np.stack([color.gray2rgb(picture) for picture in (data.brick(), data.gravel(), data.grass())])
    images = functional.interpolate(to_tensor(pictures), (128, 128), mode="area")
    return vqgan.encode(images * 2 - 1)


@pytest.fixture(scope="module")
def by():
    classes = functional.normalize(torch.randn(1000, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    encoder = ConSE(Lite0Backbone(["stage7"]).forward_logits, classes, classes.mean(dim=0), resolution=128)
    return Guide(encoder, classes[[100, 300, 500]])


def generators(seed):
    return [torch.Generator().manual_seed(seed + place) for place in range(3)]


def test_gradients_agree_better_than_those_of_other_crops(start, by, vqgan, settings, has_bfloat16):
    def gradient(precision, seed):
        latent = start.clone().requires_grad_()
        values = settings(guidance=1.0, iterations=1, precision=precision)
        windows = draw_windows(4, 1, generators(seed))[0]
        sight = Sight.of(vqgan, by.encoder, Arithmetic.of(precision, "cpu"), "cpu")
        step = look(latent, GuidedBatch(start, by.texts), sight, values, windows)
        return torch.autograd.grad(step.loss.sum(), latent)[0].flatten(1)

    exact = gradient("float32", 0)
    rounded, other = gradient("bfloat16", 0), gradient("float32", 50)
    cosine = functional.cosine_similarity(exact, rounded)
    assert (cosine < 0.9999).all() if has_bfloat16 else torch.equal(rounded, exact)  # whether it did round
    assert (cosine > 0.7).all()
    assert (cosine > functional.cosine_similarity(exact, other)).all()


def test_the_similarity_that_is_reached_agrees(start, by, vqgan, settings):
    def gained(precision, seed):
        values = settings(guidance=1.0, iterations=10, cutouts=4, precision=precision)
        similarity = guide(start, by, vqgan, values, generators(seed)).similarity
        return similarity[:, -1] - similarity[:, 0]

    exact, rounded = gained("float32", 0), gained("bfloat16", 0)
    other = torch.stack([gained("float32", seed) for seed in (50, 100)])
    assert (exact > 0).all()
    assert (rounded - exact).abs().mean() < (other - exact).abs().mean()
