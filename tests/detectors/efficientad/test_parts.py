"""Parts of EfficientAD, each alone."""

import numpy as np
import pytest
import torch

from variad.detectors.efficientad_networks import (
    Autoencoder,
    PenaltyImages,
    draw_jitter,
    hard_count,
    hard_feature_loss,
    jitter,
)
from variad.networks.pdn import output_side


@pytest.mark.parametrize("shape", [(1, 3, 7, 5), (2, 12, 8, 8), (1, 96, 24, 24)])
@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.9, 0.999])
def test_hard_features_are_those_above_torchs_quantile(shape: tuple[int, ...], quantile: float) -> None:
    distances = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = distances[distances >= torch.quantile(distances, quantile)]
    assert hard_count(distances.numel(), quantile) == len(kept)
    torch.testing.assert_close(hard_feature_loss(distances, quantile), kept.mean())


def test_hard_features_take_more_values_than_torchs_quantile_does() -> None:
    distances = torch.zeros(2**24 + 10)
    distances[7] = hard_count(len(distances), 0.999)
    assert hard_feature_loss(distances).item() == pytest.approx(1)


@pytest.mark.parametrize("side", [64, 96, 112, 128, 200, 224, 256])
def test_autoencoder_has_the_teachers_grid(side: int) -> None:
    autoencoder = Autoencoder(side, channels=6, width=0.125).eval()
    latents: list[torch.Tensor] = []
    autoencoder.encoder[-1].register_forward_hook(lambda *given: latents.append(given[2]))
    found = autoencoder(torch.zeros(2, 3, side, side))
    assert found.shape == (2, 6, output_side(side), output_side(side))
    assert latents[0].shape == (2, 64, 1, 1)


def test_autoencoder_is_the_papers_at_256_pixels() -> None:
    autoencoder = Autoencoder(256, channels=384)
    assert autoencoder.sides == [3, 8, 15, 32, 63, 127] and autoencoder.output == 56
    assert [tuple(layer.weight.shape) for layer in autoencoder.encoder] == [
        (32, 3, 4, 4),
        (32, 32, 4, 4),
        (64, 32, 4, 4),
        (64, 64, 4, 4),
        (64, 64, 4, 4),
        (64, 64, 8, 8),
    ]
    assert autoencoder.last.weight.shape == (384, 64, 3, 3)


def test_colour_jitter_by_hand() -> None:
    image = torch.tensor([[0.2, 0.6], [0.4, 0.4], [0.5, 0.1]]).view(1, 3, 1, 2)
    grey = 0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2]
    brighter, harder, paler = (jitter(image, torch.tensor([kind]), torch.tensor([0.5])) for kind in range(3))
    torch.testing.assert_close(brighter, image / 2)
    torch.testing.assert_close(harder, (image + grey.mean()) / 2)
    torch.testing.assert_close(paler, (image + grey[:, None]) / 2)
    assert jitter(image, torch.tensor([0]), torch.tensor([5.0])).max() == 1


def test_colour_jitter_equals_torchvisions() -> None:
    from torchvision.transforms.v2 import functional as reference

    image = torch.rand(3, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    changed = jitter(image, torch.arange(3), torch.full((3,), 1.2))
    wanted = (reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation)
    for row, change in enumerate(wanted):
        torch.testing.assert_close(changed[row], change(image[row], 1.2), atol=2e-4, rtol=0)


def test_jitter_is_drawn_from_three_kinds_and_its_range() -> None:
    kinds, factors = draw_jitter(3000, torch.Generator().manual_seed(0))
    assert torch.bincount(kinds).tolist() == pytest.approx([1000] * 3, abs=100)
    assert 0.8 <= factors.min() < 0.801 and 1.199 < factors.max() <= 1.2


def test_bundled_penalty_images_are_the_same_for_the_same_generator() -> None:
    source = PenaltyImages("photographs", 64)
    first, second = (source.draw(8, np.random.default_rng(0)) for _ in range(2))
    assert first.shape == (8, 3, 64, 64) and torch.equal(first, second)
    assert first.min() >= 0 and first.max() <= 1 and not torch.equal(first[0], first[1])
