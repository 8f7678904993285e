import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from variad.networks.training import FusedAdam


def adam_by_hand(start: np.ndarray, gradients: list[np.ndarray], rate: float, betas: tuple[float, float]) -> np.ndarray:
    value, first, second = start.astype(float), 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        unbiased = first / (1 - betas[0] ** step), second / (1 - betas[1] ** step)
        value = value - rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    return value


def test_steps_equal_adams_by_hand():
    draw = np.random.default_rng(0)
    starts = [draw.standard_normal(shape).astype(np.float32) for shape in ((5, 3), (7,), (4, 3, 2, 2))]
    gradients = [[draw.standard_normal(start.shape).astype(np.float32) for _ in range(5)] for start in starts]
    parameters = [torch.tensor(start, requires_grad=True) for start in starts]
    optimiser = FusedAdam(parameters, 0.005, (0.5, 0.999))
    for step in range(5):
        for parameter, given in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(given[step])
        optimiser.step()
        assert all(parameter.grad is None for parameter in parameters)
    for parameter, start, given in zip(parameters, starts, gradients, strict=True):
        expected = adam_by_hand(start, given, 0.005, (0.5, 0.999))
        np.testing.assert_allclose(parameter.detach(), expected, rtol=1e-5, atol=1e-6)


def test_decay_adds_the_weights_to_the_gradient():
    parameter = torch.tensor([2.0, -1.0], requires_grad=True)
    parameter.grad = torch.tensor([0.5, 0.25])
    FusedAdam([parameter], 0.1, weight_decay=0.5).step()
    expected = adam_by_hand(np.array([2.0, -1.0]), [np.array([1.5, -0.25])], 0.1, (0.9, 0.999))
    np.testing.assert_allclose(parameter.detach(), expected, rtol=1e-6)


@pytest.mark.parametrize("given", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("kept", [torch.channels_last, torch.contiguous_format])
def test_memory_layouts_do_not_mix_numbers_up(kept, given):
    draw = np.random.default_rng(0)
    start, gradient = draw.standard_normal((2, 4, 3, 2, 2)).astype(np.float32)
    parameter = torch.tensor(start).contiguous(memory_format=kept).requires_grad_()
    parameter.grad = torch.tensor(gradient).contiguous(memory_format=given)
    FusedAdam([parameter], 0.005, (0.5, 0.999)).step()
    expected = adam_by_hand(start, [gradient], 0.005, (0.5, 0.999))
    np.testing.assert_allclose(parameter.detach(), expected, rtol=1e-5, atol=1e-6)


def test_parameters_without_a_gradient_stay_as_torchs_adam_leaves_them():
    """Three of one shape, so that nothing but the values tells which gradient moved which."""
    draw = np.random.default_rng(0)
    starts = draw.standard_normal((3, 4)).astype(np.float32)
    ours, theirs = ([torch.tensor(start, requires_grad=True) for start in starts] for _ in range(2))
    optimiser, expected = FusedAdam(ours, 0.1, weight_decay=0.1), torch.optim.Adam(theirs, 0.1, weight_decay=0.1)
    for known in ([1, 2], [0, 1, 2], [], [0], [2]):
        expected.zero_grad()
        for number in known:
            gradient = draw.standard_normal(4).astype(np.float32)
            ours[number].grad, theirs[number].grad = torch.tensor(gradient), torch.tensor(gradient)
        optimiser.step()
        expected.step()
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine.detach(), other.detach(), rtol=1e-6)


@pytest.mark.slow
def test_the_compiler_is_not_imported():
    code = (
        "import sys, torch\n"
        "from variad.networks.training import FusedAdam\n"
        "weight = torch.ones(3, requires_grad=True)\n"
        "weight.grad = torch.ones(3)\n"
        "FusedAdam([weight], 0.1, (0.5, 0.9)).step()\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": "workflow/lib"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
