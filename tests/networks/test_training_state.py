from pathlib import Path

import pytest
import torch
from torch import nn

from variad.core.errors import UserError
from variad.networks.training import descend, follow, load_state, save_state


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
