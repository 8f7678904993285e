"""The directional losses and the directions learned with them."""

import copy
from dataclasses import replace

import pytest
import torch

from variad.anomalies.ddim import generate, predicted_image, timesteps
from variad.anomalies.direction import (
    DirectionSettings,
    bottleneck_size,
    directional_loss,
    edited_prediction,
    learn_direction,
    waypoints,
)


@pytest.fixture(scope="module")
def points(model):
    noise = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return waypoints(model, noise, 10, [800, 500], 3)


def test_losses_by_hand():
    source, target = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    text = torch.tensor([1.0, 2.0])  # from the source straight up, as the edit goes
    assert directional_loss(target, source, text).item() == pytest.approx(0, abs=1e-6)
    assert directional_loss(-target, source, torch.tensor([5.0, 0.0])).item() == pytest.approx(1 + 2 / 5**0.5)
    # L_dir: direction (1, 2) - (1, 2 - 3) = (0, 3) and then (1, 2) - (0, 2) = (1, 0)
    assert directional_loss(target, source, text, torch.tensor([1.0, -1.0])).item() == pytest.approx(0, abs=1e-6)
    assert directional_loss(target, source, text, torch.tensor([0.0, 2.0])).item() == pytest.approx(1)
    assert directional_loss(source, source, text).item() == pytest.approx(1)


def test_waypoints_are_those_of_the_plain_generation(model):
    noise = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    times = timesteps(model, 10)
    first, last = waypoints(model, noise, 10, [times[0], times[-1]], 2)
    assert torch.equal(first.x, noise) and (first.t, last.t) == (900, 0)
    # the last step of a generation moves to the predicted image
    last_image = generate(model, noise, 10)
    assert (last.predicted - last_image).abs().max() < 1e-5 * max(1.0, float(last_image.abs().max()))
    epsilon = model.epsilon(last.x, 0)
    assert (predicted_image(model, last.x, epsilon, 0) - last.predicted).abs().max() < 1e-5


@pytest.mark.parametrize("source_text", [None, torch.tensor([0.5, -0.2, 0.1, 0.4, -0.3, 0.2])])
def test_gradient_of_the_loss_against_finite_differences(model, encoder, points, source_text):
    """The whole way from the direction through U-Net, predicted image and encoder, in double precision."""
    exact = replace(model, unet=copy.deepcopy(model.unet).double())
    point = points[1]
    _, shape = bottleneck_size(model, point)
    generator = torch.Generator().manual_seed(2)
    delta, step = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    text = encoder.encode_text(["rust"])[0].double()
    x = point.x.double()

    def loss(change):
        epsilon = double_epsilon(exact, x, point.t, lambda h, _t: h + change)
        moved = ((predicted_image(exact, x, epsilon, point.t) + 1) / 2).clamp(0, 1)
        source = encoder.encode_image(((point.predicted.double() + 1) / 2).clamp(0, 1))
        return directional_loss(encoder.encode_image(moved), source, text, _double(source_text)).mean()

    start = (0.1 * delta).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(start), start)
    with torch.no_grad():
        size = 1e-5
        slope = (loss(start + size * step) - loss(start - size * step)) / (2 * size)
    assert float((gradient * step).sum()) == pytest.approx(float(slope), rel=1e-4)
    assert abs(float(slope)) > 1e-6


def double_epsilon(model, x, t, edit):
    """``model.epsilon`` without its rounding to single precision."""
    hook = model.unet.mid_block.register_forward_hook(lambda _module, _inputs, output: edit(output, t))
    try:
        return model.unet(x, t).sample[:, :3]
    finally:
        hook.remove()


def _double(tensor):
    return None if tensor is None else tensor.double()


def test_learning_follows_the_loss(model, encoder, points):
    text = encoder.encode_text(["rust"])[0]
    settings = DirectionSettings(iterations=40, learning_rate=0.1, keep=0.0)
    learned = learn_direction(model, encoder, points, text, settings, torch.Generator().manual_seed(0))
    assert sum(learned.losses[-2:]) < sum(learned.losses[:2]) - 0.3
    _, shape = bottleneck_size(model, points[0])
    assert learned.delta_h.shape == (1, *shape) and learned.times == [800, 500]

    held = learn_direction(
        model, encoder, points, text, replace(settings, keep=100.0), torch.Generator().manual_seed(0)
    )
    moved = [
        float((edited_prediction(model, points[0], found.delta_h[0]) - points[0].predicted).abs().mean())
        for found in (learned, held)
    ]
    assert moved[1] < 0.5 * moved[0]


def test_one_direction_for_each_time_step(model, encoder, points):
    text = encoder.encode_text(["rust"])[0]
    settings = [DirectionSettings(iterations=count, per_step=True) for count in (1, 2)]
    first = torch.Generator().manual_seed
    one, two = (learn_direction(model, encoder, points, text, each, first(0)) for each in settings)
    # the first iteration is at the first time step, the second one at the second
    assert torch.equal(one.delta_h[0], two.delta_h[0])
    assert one.delta_h.shape == two.delta_h.shape and not torch.equal(one.delta_h[1], two.delta_h[1])
