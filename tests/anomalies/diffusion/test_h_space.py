"""Mixing and moving in the bottleneck."""

import math

import pytest
import torch
from torch import Tensor

from variad.anomalies.ddim import ScaledDirection, StyleMix, ddim_step, invert, mix, record_h, slerp, timesteps
from variad.core.errors import UserError
from variad.networks.diffusion_models import DiffusionModel, edited


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 0.7, 1.0])
def test_slerp_keeps_the_norm_of_vectors_of_one_norm(gamma: float) -> None:
    first, second = _random(4, 5, 3, 3), _random(4, 5, 3, 3, seed=1)
    second = second * (first.flatten(1).norm(dim=1) / second.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)
    norms = slerp(first, second, gamma).flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, first.flatten(1).norm(dim=1), rtol=1e-5, atol=0)


def test_slerp_is_the_identity_at_both_ends_exactly() -> None:
    first, second = _random(4, 5, 3, 3), _random(4, 5, 3, 3, seed=1)
    assert torch.equal(slerp(first, second, 0.0), first)
    assert torch.equal(slerp(first, second, 1.0), second)


def test_slerp_by_hand() -> None:
    right, up = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    third = slerp(right, up, 1 / 3)
    torch.testing.assert_close(third, torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]]))


def test_slerp_of_parallel_opposite_and_zero_vectors_is_finite_and_linear() -> None:
    first = torch.tensor([[1.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    second = torch.tensor([[2.0, 4.0], [-1.0, 0.0], [0.0, 3.0]])
    wanted = torch.tensor([[1.25, 2.5], [0.5, 0.0]])
    found = slerp(first, second, 0.25)
    torch.testing.assert_close(found[:2], wanted)
    assert found.isfinite().all()


def test_mix_brings_the_content_to_the_styles_norm() -> None:
    style, content = _random(2, 4, 3, 3), 7 * _random(2, 4, 3, 3, seed=1)
    norms = style.flatten(1).norm(dim=1)
    for gamma in (0.3, 1.0):
        torch.testing.assert_close(mix(style, content, gamma).flatten(1).norm(dim=1), norms)
    assert torch.equal(mix(style, content, 0.0), style)
    whole = mix(style, content, 1.0)
    torch.testing.assert_close(
        whole / whole.norm(),
        (content / content.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * norms.view(-1, 1, 1, 1)) / whole.norm(),
    )


def test_a_direction_acts_in_proportion_to_its_strength() -> None:
    h, delta = _random(3, 4, 2, 2), _random(2, 4, 2, 2, seed=1)
    once, twice = (ScaledDirection(delta, alpha, [20, 0])(h, 0) - h for alpha in (0.5, 1.0))
    torch.testing.assert_close(2 * once, twice)
    torch.testing.assert_close(twice, delta[1].expand_as(h))
    own = ScaledDirection(delta[:1], torch.tensor([0.0, 1.0, -2.0]))(h, 999) - h
    torch.testing.assert_close(own, torch.stack([0 * delta[0], delta[0], -2 * delta[0]]), rtol=1e-4, atol=1e-6)


def test_an_unknown_time_step_is_one_sentence() -> None:
    with pytest.raises(UserError, match="expected one of the 2 time steps it has, found 5"):
        ScaledDirection(torch.zeros(2, 1, 1, 1), 1.0, [20, 0])(torch.zeros(1, 1, 1, 1), 5)


def test_parts_of_edits_are_the_rows_of_a_batch() -> None:
    content, alpha = _random(2, 3, 4, 2, 2), torch.tensor([1.0, 2.0, 3.0])
    h = _random(3, 4, 2, 2, seed=2)
    for edit in (StyleMix(content, [20, 0], 0.7), ScaledDirection(_random(1, 4, 2, 2), alpha)):
        torch.testing.assert_close(edit.part(slice(1, 3))(h[1:3], 20), edit(h, 20)[1:3])


def test_the_record_is_what_the_mid_block_gave(model: DiffusionModel, images: Tensor) -> None:
    noise = invert(model, images, 4)
    record = record_h(model, noise, 4, batch_size=2)
    assert record.shape == (4, 3, 16, 4, 4)
    seen: list[Tensor] = []
    handle = model.unet.mid_block.register_forward_hook(lambda _m, _i, output: seen.append(output))
    t, to = timesteps(model, 4)[:2]
    with torch.no_grad():
        second = ddim_step(model, noise, model.epsilon(noise, t), t, to)
        model.epsilon(second, to)
    handle.remove()
    torch.testing.assert_close(record[:2], torch.stack(seen), rtol=1e-4, atol=1e-5)


def test_the_hook_is_removed_after_an_exception(model: DiffusionModel, images: Tensor) -> None:
    def failing(h: Tensor, t: int) -> Tensor:
        raise KeyboardInterrupt

    hooks = model.unet.mid_block._forward_hooks
    with pytest.raises(KeyboardInterrupt):
        model.epsilon(images, 10, failing)
    assert not hooks
    with edited(model.unet, failing, 10):
        assert len(hooks) == 1
    assert not hooks


def test_gradients_reach_an_edit(model: DiffusionModel, images: Tensor) -> None:
    delta = torch.zeros(1, 16, 4, 4, requires_grad=True)
    model.epsilon(images, 500, ScaledDirection(delta, 1.0)).square().mean().backward()
    assert delta.grad is not None and delta.grad.abs().max() > 0
