"""A tiny VQGAN and encoder with random weights, and images."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from variad.generation.guidance import Guide
from variad.generation.settings import GenerationSettings, Request
from variad.networks.vqgan import VQGAN, VQGANConfig, fold_upsampling


class TinyEncoder:
    """A random linear image encoder over 8 x 8 pixels."""

    resolution = 16
    context_length = 77
    name = "tiny"

    def __init__(self, dtype=torch.float32):
        self.weight = torch.randn(3 * 8 * 8, 12, generator=torch.Generator().manual_seed(5)).to(dtype)

    def encode_image(self, images):
        small = functional.adaptive_avg_pool2d(images, 8).flatten(1) - 0.5
        return functional.normalize(small @ self.weight, dim=1)


def requests_of(*seeds):
    return [Request(0, "shot", seed) for seed in seeds]


@pytest.fixture
def encoder():
    return TinyEncoder()


def make_vqgan(dtype=torch.float32, fold=True):
    torch.manual_seed(0)
    config = VQGANConfig(
        embed_dim=4, n_embed=64, z_channels=4, ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(),
        resolution=32, norm_groups=4,
    )  # fmt: skip
    model = VQGAN(config)
    with torch.no_grad():
        model.codebook.copy_(torch.randn(64, 4, generator=torch.Generator().manual_seed(1)))
    model = model.eval().requires_grad_(False).to(dtype)
    if fold:  # as every loaded one
        fold_upsampling(model)
    return model


@pytest.fixture
def vqgan():
    return make_vqgan()


@pytest.fixture
def double_vqgan():
    return make_vqgan(torch.float64)


@pytest.fixture
def parents():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def texts():
    return functional.normalize(torch.randn(5, 12, generator=torch.Generator().manual_seed(2)), dim=1)


@pytest.fixture
def by(encoder, texts):
    return Guide(encoder, texts)


@pytest.fixture
def settings():
    def make(**changes):
        values = {
            "view": "geometric", "form": "mu_sigma_epsilon", "sigma": "codebook", "noise_scale": 1.0, "iterations": 0,
            "learning_rate": 0.05, "anchor": 1.0, "guidance": 0.0, "cutouts": 3, "precision": "float32",
            "output": "decoded", "min_similarity_gain": None, "max_distance": None, "batch_size": 16,
        }  # fmt: skip
        return GenerationSettings(**{**values, **changes})

    return make
