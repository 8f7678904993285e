"""A tiny diffusion model, an encoder of a few numbers, and a category of small images."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

SIDE = 32
SETS = {"bank": 3, "seeds": 6, "validation": 4}


@dataclass(frozen=True)
class Category:
    """Files of a category: ``images.h5`` with 20 images, grey ones first, and ``support.csv`` with two runs."""

    folder: Path
    images: Path
    support: Path
    names: list[str]


@pytest.fixture
def category(tmp_path):
    generator = np.random.default_rng(3)
    names = [f"train/good/{place:02}" for place in range(20)]
    images = generator.integers(0, 256, (20, 4, 4, 3)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    images[:10] = images[:10, ..., :1]
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = images
        file.create_dataset("image_id", data=names, dtype=h5py.string_dtype())
    pd.DataFrame(support_rows(names, generator)).to_csv(tmp_path / "support.csv", index=False)
    return Category(tmp_path, tmp_path / "images.h5", tmp_path / "support.csv", names)


def support_rows(names, generator, runs=2):
    rows = []
    for run in range(runs):
        drawn = iter(generator.permutation(names))
        for part, count in SETS.items():
            rows += [{"run": run, "image_id": next(drawn), "set": part} for _ in range(count)]
    return rows


@pytest.fixture(scope="session")
def model():
    """A small U-Net with random weights, 16 px."""
    import torch

    from variad.networks.diffusion_models import (
        DiffusionModel,
        SmallUNetConfig,
        build_small_unet,
        linear_alphas_cumprod,
    )

    torch.manual_seed(0)
    # little noise: an untrained network would leave nothing but its own errors of a picture under much
    schedule = linear_alphas_cumprod(last=2e-3)
    unet = build_small_unet(SmallUNetConfig(resolution=16, channels=(8, 16), groups=4))
    return DiffusionModel(unet.eval().requires_grad_(False), schedule, 16, 1)


@pytest.fixture(scope="session")
def encoder():
    """Images to six numbers by a smooth network, texts to six numbers by their letters; unit vectors."""
    import torch

    class Encoder:
        name, resolution, context_length = "toy", 16, 99

        def __init__(self):
            generator = torch.Generator().manual_seed(1)
            self.first, self.second = (torch.randn(shape, generator=generator) for shape in ((768, 12), (12, 6)))

        def encode_image(self, images):
            hidden = (images.flatten(1) @ self.first.to(images) / 10).tanh()
            return torch.nn.functional.normalize(hidden @ self.second.to(images), dim=-1)

        def encode_text(self, texts):
            rows = [[float(len(text) + ord(text[place % len(text)]) % 7 - 3) for place in range(6)] for text in texts]
            return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)

    return Encoder()
