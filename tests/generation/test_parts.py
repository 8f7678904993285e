"""Latents, cutouts, distances, requests and strategies, each against values by hand."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from variad.core.errors import UserError
from variad.generation.guidance import (
    clamp_to_codebook,
    cutouts,
    draw_windows,
    perturb_latent,
    spherical_distance,
    spread_of_codes,
    spread_of_views,
)
from variad.generation.settings import requests, unseen
from variad.generation.strategies import accepted, distance_to_view, geometric, strategy


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + index) for index in range(count)]


def test_latent_of_each_published_form():
    mean, spread, noise = torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([-3.0])
    assert perturb_latent(mean, spread, noise, "mu", 0.5) == 1
    assert perturb_latent(mean, spread, noise, "mu_sigma", 0.5) == 2
    assert perturb_latent(mean, spread, noise, "mu_sigma_epsilon", 0.5) == -2


def test_spread_of_codes_is_that_of_the_vectors_that_are_used(vqgan):
    views = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = vqgan.encode(views).permute(0, 2, 3, 1).reshape(-1, 4)
    used = vqgan.codebook[torch.cdist(latents, vqgan.codebook).argmin(dim=1)]
    torch.testing.assert_close(spread_of_codes(vqgan, views).flatten(), used.std(dim=0))


def test_spread_of_equal_views_is_zero(vqgan):
    views = torch.rand(1, 3, 32, 32).expand(4, -1, -1, -1)
    torch.testing.assert_close(spread_of_views(vqgan, views), torch.zeros(4, 16, 16))


def test_latent_is_clamped_to_the_range_of_the_codebook():
    codebook = torch.tensor([[0.0, -1.0], [2.0, 1.0]])
    latent = torch.tensor([-5.0, 5.0]).view(1, 2, 1, 1)
    assert clamp_to_codebook(latent, codebook).flatten().tolist() == [0, 1]


def test_spherical_distance_is_half_the_squared_angle():
    for angle in (0.3, 1.0, math.pi / 2):
        vector = torch.tensor([[math.cos(angle), math.sin(angle)]])
        assert spherical_distance(torch.tensor([[1.0, 0.0]]), vector).item() == pytest.approx(angle**2 / 2, rel=1e-5)


def test_first_cutout_is_the_whole_image_and_all_lie_within():
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64)[None].repeat(2, 1, 1, 1)
    crops = cutouts(ramp, draw_windows(6, 1, generators(2))[0], 64)
    assert crops.shape == (12, 3, 64, 64)
    torch.testing.assert_close(crops[0], ramp[0])
    torch.testing.assert_close(crops[6], ramp[1])
    width = crops[..., -1].mean(dim=(1, 2)) - crops[..., 0].mean(dim=(1, 2))
    assert (width > 0.48).all() and (width <= 1.0001).all()


def test_cutouts_equal_those_of_an_affine_grid_and_have_its_gradients():
    images = torch.rand(3, 3, 24, 32, dtype=torch.float64, requires_grad=True)
    windows = draw_windows(4, 2, generators(3))[1].double()
    found = cutouts(images, windows, 16)
    grid = functional.affine_grid(windows.flatten(0, 1), [12, 3, 16, 16], align_corners=False)
    repeated = images.repeat_interleave(4, dim=0)
    wanted = functional.grid_sample(repeated, grid, "bilinear", "border", align_corners=False)
    torch.testing.assert_close(found, wanted)
    weights = torch.rand_like(wanted)
    gradients = (torch.autograd.grad((crops * weights).sum(), images)[0] for crops in (found, wanted))
    torch.testing.assert_close(*gradients)


def test_cutouts_of_an_image_do_not_depend_on_the_batch():
    images = torch.rand(3, 3, 32, 32)
    together = cutouts(images, draw_windows(4, 2, generators(3))[1], 16)
    alone = cutouts(images[2:], draw_windows(4, 2, generators(3)[2:])[1], 16)
    torch.testing.assert_close(together[8:], alone)


def test_views_keep_straight_flips_exact(monkeypatch):
    monkeypatch.setattr("variad.generation.strategies.MAX_ROTATION", 0.0)
    images = torch.rand(8, 3, 16, 16)
    views = geometric(images, generators(8))
    kinds = set()
    for image, view in zip(images, views, strict=True):
        flips = {(): image, (2,): image.flip(2), (1,): image.flip(1), (1, 2): image.flip(1, 2)}
        kind = [dims for dims, flipped in flips.items() if torch.allclose(flipped, view, atol=1e-4)]
        assert len(kind) == 1
        kinds.add(kind[0])
    assert len(kinds) > 1


def test_view_of_an_asymmetric_image_is_rotated_not_sheared():
    image = torch.zeros(1, 3, 65, 65)
    image[..., 32, 12] = image[..., 12, 32] = 1  # two points at a right angle from the centre
    for generator in generators(6):
        view = geometric(image, [generator])[0, 0]
        points = (view > 0.3).nonzero().float() - 32
        lengths = points.norm(dim=1)
        assert ((lengths - 20).abs() < 1.5).all()


def test_distance_and_acceptance_by_hand():
    images = torch.stack([torch.zeros(3, 2, 2), torch.full((3, 2, 2), 0.5)])
    distance = distance_to_view(images, torch.zeros(2, 3, 2, 2)).numpy()
    assert distance.tolist() == [0, 0.5]
    gain = np.array([np.nan, -0.1], np.float32)
    assert accepted(gain, distance, None, None).tolist() == [True, True]
    assert accepted(gain, distance, 0.0, None).tolist() == [True, False]
    assert accepted(gain, distance, None, 0.4).tolist() == [True, False]


def test_requests_spread_evenly_and_have_their_own_seeds():
    made = requests({0: ["a", "b"], 1: ["c", "d"]}, 1.5, 0, ("elpv", "mono", "few_shot", "generated"))
    assert [(request.run, request.parent) for request in made] == [
        (0, "a"), (0, "b"), (0, "a"), (1, "c"), (1, "d"), (1, "c"),
    ]  # fmt: skip
    assert len({request.seed for request in made}) == 6
    other = requests({0: ["a", "b"]}, 1.5, 0, ("elpv", "poly", "few_shot", "generated"))
    assert {request.seed for request in other}.isdisjoint(request.seed for request in made)


def test_requests_of_a_fraction_take_the_first_shots():
    names = [str(index) for index in range(100)]
    assert [request.parent for request in requests({0: names}, 0.05, 0, ())] == names[:5]


@pytest.mark.parametrize("name", ["noise", "sharpen", "strategy1", "strategy2", "autoaugment", "randaugment", "mixed"])
def test_strategies_change_images_repeatably_and_one_by_one(name):
    images = torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(9))
    changed = strategy(name)(images, generators(4))
    assert changed.shape == images.shape
    assert changed.min() >= 0 and changed.max() <= 1
    assert not torch.allclose(changed, images, atol=1e-3)
    torch.testing.assert_close(strategy(name)(images[1:2], generators(4)[1:2]), changed[1:2])


def test_noise_has_the_stated_spread(monkeypatch):
    monkeypatch.setattr("variad.generation.strategies.geometric", lambda images, _: images)
    grey = torch.full((20, 3, 64, 64), 0.5)
    spread = strategy("noise")(grey, generators(20)).std(dim=(1, 2, 3))
    assert (spread > 0.019).all() and (spread < 0.051).all() and spread.std() > 0.003


def test_sharpening_steepens_edges_and_keeps_flat_parts(monkeypatch):
    monkeypatch.setattr("variad.generation.strategies.geometric", lambda images, _: images)
    step = torch.full((1, 3, 8, 8), 0.4)
    step[..., 4:] = 0.6
    sharp = strategy("sharpen")(step, generators(1))[0, 0, 4]
    assert sharp[3] < 0.4 - 0.02 and sharp[4] > 0.6 + 0.02
    assert sharp[1].item() == pytest.approx(0.4, abs=1e-6)


def test_unknown_strategy():
    with pytest.raises(UserError, match=r"expected one of none, geometric, noise, .*found 'cutmix'"):
        strategy("cutmix")


def test_unseen_images_are_neither_shots_nor_twice_in_a_run():
    shots, pool = {0: ["a"], 1: ["b"]}, ["a", "b", "c", "d"]
    wanted = requests(shots, 3, 0, ("elpv", "mono"))
    found = unseen(wanted, shots, pool, 0, ("elpv", "mono"))
    assert [(request.run, request.seed) for request in found] == [(request.run, request.seed) for request in wanted]
    assert sorted(request.parent for request in found if request.run == 0) == ["b", "c", "d"]
    assert sorted(request.parent for request in found if request.run == 1) == ["a", "c", "d"]
    assert unseen(wanted, shots, pool, 0, ("elpv", "mono")) == found
    with pytest.raises(UserError, match="elpv/mono: expected 3 training images besides the shots, found 1"):
        unseen(wanted, shots, ["a", "c"], 0, ("elpv", "mono"))


def test_noise_on_a_grey_image_has_no_colour():
    grey, tinted = torch.full((3, 16, 16), 0.5), torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1).expand(3, 16, 16)
    noisy = strategy("noise")(torch.stack([grey, tinted]), generators(2))
    assert (noisy[0] == noisy[0, :1]).all() and 0.015 < noisy[0].std() < 0.06
    assert (noisy[1] - tinted).std(dim=0).mean() > 0.01
