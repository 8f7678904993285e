import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from variad.core.errors import UserError
from variad.networks.pdn import PDNConfig
from variad.networks.training import FusedAdam, Trainer, TrainingSettings, warm_cosine
from variad.networks.weights import load_weights


def one_weight(value: float) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def trainer_of(network: nn.Linear) -> Trainer:
    """At a rate of 0.1 in the first step."""
    settings = TrainingSettings(steps=2000, batch=1, learning_rate=0.1, warm_up=0, weight_average=0.9)
    return Trainer(network, None, settings, torch.optim.SGD(network.parameters(), lr=99.0))


def test_a_step_takes_the_rate_of_the_schedule() -> None:
    network = one_weight(2.0)
    trainer_of(network).descend(0.5 * network(torch.ones(1, 1)).sum())
    assert network.weight.item() == pytest.approx(2.0 - 0.1 * 0.5)


def test_a_long_gradient_is_cut_to_one() -> None:
    network = one_weight(2.0)
    trainer_of(network).descend(50 * network(torch.ones(1, 1)).sum())
    assert network.weight.item() == pytest.approx(2.0 - 0.1 * 1.0)


def test_a_gradient_does_not_reach_the_next_step() -> None:
    network = one_weight(2.0)
    trainer = trainer_of(network)
    for _ in range(2):
        trainer.descend(0.5 * network(torch.ones(1, 1)).sum())
    assert network.weight.item() == pytest.approx(2.0 - 2 * 0.1 * 0.5)


@pytest.mark.parametrize(("step", "kept"), [(0, 1 / 10), (8, 9 / 18), (1000, 0.9)])
def test_the_average_forgets_its_start_soon(step: int, kept: float) -> None:
    network = one_weight(1.0)
    trainer = trainer_of(network)
    nn.init.constant_(network.weight, 5.0)
    trainer.next_step = step
    trainer.finish_step()
    assert trainer.average["weight"].item() == pytest.approx(kept * 1.0 + (1 - kept) * 5.0)
    assert trainer.next_step == step + 1


class Counting(Trainer):
    """Adds 1 to its weight in every step; its crops are itself."""

    killed_at: int | None = None

    def batch(self, size: int, step: int) -> torch.Tensor:
        if step == self.killed_at:
            raise KeyboardInterrupt
        return torch.ones(size)

    def step(self, images: torch.Tensor) -> dict[str, float]:
        with torch.no_grad():
            self.model.weight += images
        self.finish_step()
        return {"loss": 0.0}


def counting(path: Path, start: float, steps: int = 3, killed_at: int | None = None) -> Counting:
    network, settings = one_weight(start), TrainingSettings(steps=steps, batch=1, weight_average=0.0, every=1)
    trainer = Counting(network, PDNConfig(), settings, torch.optim.SGD(network.parameters(), lr=1.0))
    trainer.killed_at = killed_at
    trainer.run(path, trainer, "counting")  # type: ignore[arg-type]
    return trainer


def test_a_state_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(KeyboardInterrupt):
        counting(path, start=10.0, killed_at=2)
    trainer = counting(path, start=-1.0)
    assert trainer.next_step == 3 and trainer.model.weight.item() == 13.0
    assert load_weights(path)[0]["weight"].item() == 13.0


@pytest.mark.parametrize("how", ["a weight is another", "cut in half", "emptied"])
def test_a_damaged_state_is_not_gone_on_with(tmp_path: Path, how: str) -> None:
    path, saved = tmp_path / "model.safetensors", tmp_path / "model.state.pt"
    with pytest.raises(KeyboardInterrupt):
        counting(path, start=10.0, killed_at=2)
    content, weight = saved.read_bytes(), np.float32(12.0).tobytes()
    assert weight in content
    other = content.replace(weight, np.float32(13.0).tobytes())
    saved.write_bytes({"a weight is another": other, "cut in half": content[: len(content) // 2]}.get(how, b""))
    assert counting(path, start=-1.0).model.weight.item() == -1.0 + 3  # all of its steps
    assert load_weights(path)[0]["weight"].item() == 2.0 and not saved.exists()


def test_another_trainings_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        counting(tmp_path / "model.safetensors", start=10.0, killed_at=2)
    sentence = r"model\.state\.pt: expected a training with the same settings, found TrainingSettings\(steps=3"
    with pytest.raises(UserError, match=sentence):
        counting(tmp_path / "model.safetensors", start=10.0, steps=4)


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
