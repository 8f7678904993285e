import math

import pytest
import torch

from variad.detectors.cflow import FlowSchedule, FlowTraining
from variad.detectors.cflow_coupling import FlowShape, PositionCodes


def schedule(**changed) -> FlowSchedule:
    given = {"epochs": 3, "fiber_batch_size": 8, "learning_rate": 1e-3, "warmup_fraction": 0.0, "cosine": False}
    return FlowSchedule(**given | {"patience": None, "dtype": torch.float32} | changed)


def training(positions: int, **changed) -> FlowTraining:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(positions, 6, generator=generator)
    return FlowTraining(features, PositionCodes(2, 5, 4), FlowShape(6, 4, 2, 1.9), schedule(**changed), generator)


def test_learning_rate_by_hand():
    given = schedule(epochs=25, learning_rate=2e-4, warmup_fraction=0.08, cosine=True)
    peak = 2e-7 + (2e-4 - 2e-7) * (1 + math.cos(math.pi * 2 / 25)) / 2
    assert given.rate(0) == pytest.approx(2e-5)
    assert given.rate(0.04) == pytest.approx((2e-5 + peak) / 2)
    assert given.rate(0.08) == pytest.approx(peak)
    assert given.rate(0.5) == pytest.approx((2e-4 + 2e-7) / 2)
    assert given.rate(1) == pytest.approx(2e-7)
    assert schedule().rate(0) == schedule().rate(0.9) == 1e-3


@pytest.mark.parametrize(("positions", "sizes"), [(30, [8, 8, 8]), (8, [8]), (5, [5]), (1, [1])])
def test_fibres_cover_positions_once_an_epoch(positions, sizes, monkeypatch):
    given = training(positions)
    seen = []
    monkeypatch.setattr(given, "step", lambda chosen, columns, rows: seen.append(chosen) or torch.zeros(()))
    given.run(lambda: None)
    assert [len(chosen) for chosen in seen] == 3 * sizes
    for epoch in range(3):
        chosen = torch.cat(seen[epoch * len(sizes) : (epoch + 1) * len(sizes)]).tolist()
        assert len(set(chosen)) == sum(sizes)
        assert set(chosen) <= set(range(positions))
    if positions == 30:
        assert not torch.equal(seen[0], seen[3])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_falls_to_that_of_the_true_density(dtype):
    """Features that a standard normal flow cannot fit unless it learns their means and spreads."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([0.2, 0.5, 1.0, 2.0, 3.0, 4.0])
    features = spread * torch.randn(2000, 6, generator=generator) + 2
    changed = schedule(epochs=25, fiber_batch_size=100, learning_rate=1e-2, cosine=True, dtype=dtype)
    given = FlowTraining(features, PositionCodes(2, 5, 4), FlowShape(6, 4, 4, 1.9), changed, generator)
    losses = [given._epoch(epoch).item() for epoch in range(25)]
    density = torch.distributions.Normal(2, spread).log_prob(features).mean(dim=1)
    best = -torch.nn.functional.logsigmoid(density).mean().item()
    assert losses[0] > best + 0.5
    assert losses[-1] == pytest.approx(best, abs=0.05)


def test_an_early_stop_looks_at_the_loss(monkeypatch):
    given = training(8, epochs=50, patience=2)
    losses = iter([3.0, 2.0, 2.0, 2.0])
    monkeypatch.setattr(given, "_epoch", lambda epoch: torch.tensor(next(losses)))
    epochs = []
    given.run(lambda: epochs.append(1))
    assert len(epochs) == 4
