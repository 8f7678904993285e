"""A tiny diffusion model with random weights, and images that fit it."""

import pytest
import torch

from variad.networks.diffusion_models import DiffusionModel, SmallUNetConfig, build_small_unet, linear_alphas_cumprod

TINY = SmallUNetConfig(resolution=16, channels=(8, 16, 16), groups=4, skip_free_levels=1)


def tiny_model(config: SmallUNetConfig = TINY) -> DiffusionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = build_small_unet(config)
    unet.eval().requires_grad_(False)
    return DiffusionModel(unet, linear_alphas_cumprod(), config.resolution, config.skip_free_levels)


@pytest.fixture(scope="session")
def model() -> DiffusionModel:
    return tiny_model()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
