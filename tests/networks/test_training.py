import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from variad.core.errors import UserError
from variad.networks.training import FusedAdam, descend, follow, load_state, save_state, warm_cosine


def one_weight(value: float) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def test_a_step_takes_the_rate_it_is_given() -> None:
    network = one_weight(2.0)
    optimiser = torch.optim.SGD(network.parameters(), lr=99.0)
    descend(0.5 * network(torch.ones(1, 1)).sum(), network, optimiser, 0.1)
    assert network.weight.item() == pytest.approx(2.0 - 0.1 * 0.5)


def test_a_long_gradient_is_cut_to_one() -> None:
    network = one_weight(2.0)
    optimiser = torch.optim.SGD(network.parameters(), lr=99.0)
    descend(50 * network(torch.ones(1, 1)).sum(), network, optimiser, 0.1)
    assert network.weight.item() == pytest.approx(2.0 - 0.1 * 1.0)


def test_a_gradient_does_not_reach_the_next_step() -> None:
    network = one_weight(2.0)
    optimiser = torch.optim.SGD(network.parameters(), lr=99.0)
    for _ in range(2):
        descend(0.5 * network(torch.ones(1, 1)).sum(), network, optimiser, 0.1)
    assert network.weight.item() == pytest.approx(2.0 - 2 * 0.1 * 0.5)


@pytest.mark.parametrize(("step", "kept"), [(0, 1 / 10), (8, 9 / 18), (1000, 0.9)])
def test_the_average_forgets_its_start_soon(step: int, kept: float) -> None:
    average = {"weight": torch.tensor([[1.0]])}
    follow(average, one_weight(5.0), step, weight=0.9)
    assert average["weight"].item() == pytest.approx(kept * 1.0 + (1 - kept) * 5.0)


def test_a_state_comes_back(tmp_path: Path) -> None:
    save_state(tmp_path / "state.pt", "steps=3", {"step": 2, "model": {"weight": torch.arange(3)}})
    state = load_state(tmp_path / "state.pt", "steps=3")
    assert state["step"] == 2
    assert torch.equal(state["model"]["weight"], torch.arange(3))


def test_another_trainings_state_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path / "state.pt", "steps=3", {"step": 2})
    with pytest.raises(UserError, match=r"state\.pt: expected a training with the same settings, found steps=3\."):
        load_state(tmp_path / "state.pt", "steps=4")


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.25), (3, 1.0), (4, 1.0), (8, 0.5), (10, (1 - 2**-0.5) / 2), (12, 0.0)],
)
def test_it_rises_along_a_line_and_falls_along_a_cosine(step, rate):
    assert warm_cosine(step, peak=1.0, warm_up=4, steps=12) == pytest.approx(rate, abs=1e-12)


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
