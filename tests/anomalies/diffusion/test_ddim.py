"""Images to noise and back."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from torch import Tensor

from variad.anomalies.ddim import (
    ScaledDirection,
    StyleMix,
    asymmetric_step,
    ddim_step,
    generate,
    invert,
    predicted_image,
    record_h,
    timesteps,
)
from variad.core.errors import UserError
from variad.networks.diffusion_models import DiffusionModel

LINE = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


def _toy(model: DiffusionModel) -> DiffusionModel:
    return replace(model, alphas_cumprod=torch.tensor([0.64, 0.36, 0.04], dtype=torch.float64))


@pytest.mark.parametrize("steps", [1, 7, 25, 50, 1000])
def test_time_steps_are_those_of_diffusers(model: DiffusionModel, steps: int) -> None:
    forward, inverse = DDIMScheduler(**LINE), DDIMInverseScheduler(**LINE)
    forward.set_timesteps(steps)
    inverse.set_timesteps(steps)
    assert timesteps(model, steps) == forward.timesteps.tolist() == inverse.timesteps.tolist()[::-1]


@pytest.mark.parametrize("steps", [0, 1001])
def test_steps_that_the_model_does_not_have(model: DiffusionModel, steps: int) -> None:
    with pytest.raises(UserError, match=f"^steps: expected 1 to 1000, as many as .*, found {steps}.$"):
        timesteps(model, steps)


def test_generation_equals_diffusers(model: DiffusionModel, images: Tensor) -> None:
    scheduler = DDIMScheduler(**LINE, clip_sample=False)
    scheduler.set_timesteps(7)
    x = images
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(model.epsilon(x, int(t)), t, x).prev_sample
    torch.testing.assert_close(generate(model, images, 7), x, rtol=1e-4, atol=1e-5 * float(x.abs().max()))


def test_plain_inversion_equals_diffusers(model: DiffusionModel, images: Tensor) -> None:
    scheduler = DDIMInverseScheduler(**LINE, clip_sample=False)
    scheduler.set_timesteps(7)
    x = images
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(model.epsilon(x, int(t)), t, x).prev_sample
    found = invert(model, images, 7, extrapolate=False)
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-5 * float(x.abs().max()))


def test_the_asymmetric_step_by_hand(model: DiffusionModel) -> None:
    toy, x = _toy(model), torch.full((1, 1, 1, 1), 2.0)
    plain, edited = torch.full_like(x, 0.5), torch.full_like(x, 1.0)
    # at t = 1 the image is scaled by .6 and the noise by .8; at t = 0 by .8 and .6
    image, moved_image = (2 - 0.8 * 0.5) / 0.6, (2 - 0.8 * 1.0) / 0.6
    assert predicted_image(toy, x, edited, 1).item() == pytest.approx(moved_image)
    assert ddim_step(toy, x, plain, 1, 0).item() == pytest.approx(0.8 * image + 0.6 * 0.5)
    assert asymmetric_step(toy, x, plain, edited, 1, 0).item() == pytest.approx(0.8 * moved_image + 0.6 * 0.5)
    assert asymmetric_step(toy, x, plain, edited, 0, -1).item() == pytest.approx((2 - 0.6 * 1.0) / 0.8)


def test_the_asymmetric_step_is_the_schedulers_step_plus_the_shift(model: DiffusionModel, images: Tensor) -> None:
    scheduler = DDIMScheduler(**LINE, clip_sample=False)
    scheduler.set_timesteps(50)
    plain, edited = (torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4))
    before = scheduler.step(plain, 400, images)
    shift = scheduler.step(edited, 400, images).pred_original_sample - before.pred_original_sample
    wanted = before.prev_sample + scheduler.alphas_cumprod[380].sqrt() * shift
    torch.testing.assert_close(asymmetric_step(model, images, plain, edited, 400, 380), wanted, rtol=1e-4, atol=1e-4)


def test_edits_of_no_strength_are_plain_generation(model: DiffusionModel, images: Tensor) -> None:
    noise = invert(model, images, 5)
    plain = generate(model, noise, 5)
    times, content = timesteps(model, 5), record_h(model, noise.roll(1, 0), 5)
    unmixed = generate(model, noise, 5, StyleMix(content, times, 0.0), t_edit=400)
    unmoved = generate(model, noise, 5, ScaledDirection(torch.ones(1, 16, 4, 4), 0.0))
    for found in (unmixed, unmoved):
        assert (found - plain).abs().max() <= 1e-5 * max(1.0, float(plain.abs().max()))


def test_edits_act_at_and_above_their_first_time_step(model: DiffusionModel, images: Tensor) -> None:
    seen: list[int] = []

    def noting(h: Tensor, t: int) -> Tensor:
        seen.append(t)
        return h

    generate(model, images, 5, noting, t_edit=400)
    assert seen == [800, 600, 400]


def test_omega_scales_the_difference_that_an_edit_makes(model: DiffusionModel, images: Tensor) -> None:
    edit = ScaledDirection(torch.ones(1, 16, 4, 4), 3.0)
    plain = generate(model, images, 1)
    once, twice = (generate(model, images, 1, edit, omega=omega) - plain for omega in (1.0, 2.0))
    assert once.abs().max() > 0
    torch.testing.assert_close(twice, 2 * once, rtol=1e-3, atol=1e-5)


def test_results_do_not_depend_on_the_batch_size(model: DiffusionModel, images: Tensor) -> None:
    noise, times = invert(model, images, 3), timesteps(model, 3)
    torch.testing.assert_close(invert(model, images, 3, batch_size=2), noise, rtol=1e-3, atol=1e-4)
    edit = StyleMix(record_h(model, noise.roll(1, 0), 3), times, 0.7)
    whole, split = (generate(model, noise, 3, edit, batch_size=size) for size in (3, 2))
    torch.testing.assert_close(whole, split, rtol=1e-3, atol=1e-3 * float(whole.abs().max()))


def test_a_boosted_step_has_the_schedulers_mean_and_variance(model: DiffusionModel) -> None:
    images = torch.zeros(64, 3, 16, 16)
    scheduler = DDIMScheduler(**LINE, clip_sample=False)
    scheduler.set_timesteps(2)
    still = replace(model, unet=_Still())  # type: ignore[arg-type]
    noisy = [
        generate(still, images + 1, 2, t_boost=below, generator=torch.Generator().manual_seed(0)) for below in (0, 600)
    ]
    wanted = scheduler.step(
        torch.zeros_like(images), 500, images + 1, eta=1.0, generator=torch.Generator().manual_seed(0)
    )
    ended = wanted.prev_sample / scheduler.alphas_cumprod[0].sqrt()
    torch.testing.assert_close(noisy[1], ended, rtol=1e-4, atol=1e-4)
    assert noisy[0].std() == 0 and not torch.equal(noisy[0], noisy[1])


class _Still(torch.nn.Module):
    """Sees no noise anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, t: int) -> "_Still":
        self.sample = torch.zeros_like(x)
        return self


def test_a_boost_needs_a_generator_and_its_seed_decides(model: DiffusionModel, images: Tensor) -> None:
    with pytest.raises(UserError, match=r"^t_boost: expected a random generator"):
        generate(model, images, 4, t_boost=300)
    first, again, other = (
        generate(model, images, 4, t_boost=300, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_images_of_another_size_are_one_sentence(model: DiffusionModel) -> None:
    expected = r"^images: expected \[B, 3, 16, 16\] for this diffusion model, found \[2, 3, 8, 8\].$"
    with pytest.raises(UserError, match=expected):
        invert(model, torch.zeros(2, 3, 8, 8), 2)
    with pytest.raises(UserError, match=expected):
        generate(model, torch.zeros(2, 3, 8, 8), 2)


def test_no_images_give_no_images(model: DiffusionModel) -> None:
    nothing = torch.zeros(0, 3, 16, 16)
    assert invert(model, nothing, 2).shape == generate(model, nothing, 2).shape == nothing.shape
