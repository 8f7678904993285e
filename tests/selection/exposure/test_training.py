"""Targets, losses and the anomaly score by hand."""

import math

import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.selection.exposure_network import OBJECTIVES, anomaly_targets, random_halves, support_distance


def test_regression_aims_at_the_strength_and_classification_at_one() -> None:
    strengths = np.array([0.25, 0.5, 1.0])
    assert anomaly_targets("regression", "text_edit", strengths).tolist() == [0.25, 0.5, 1.0]
    assert anomaly_targets("classification", "text_edit", strengths).tolist() == [1, 1, 1]


def test_regression_without_strengths_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"exposure\.sources\.scar: expected regression only .* one strength\.$"):
        anomaly_targets("regression", "scar", np.ones(5))


def test_losses_by_hand() -> None:
    zeros, targets = torch.zeros(2, 1), torch.tensor([0.0, 1.0])
    assert float(OBJECTIVES["classification"].loss(zeros, targets)) == pytest.approx(math.log(2))
    assert float(OBJECTIVES["regression"].loss(torch.tensor([[0.5], [0.5]]), torch.tensor([0.0, 0.75]))) == (
        pytest.approx((0.25 + 0.0625) / 2)
    )
    assert float(OBJECTIVES["rotation"].loss(torch.zeros(3, 4), torch.tensor([0.0, 1.0, 3.0]))) == (
        pytest.approx(math.log(4))
    )


def test_half_of_the_support_passes_for_anomalies() -> None:
    half = random_halves(21, np.random.default_rng(0))
    assert half.sum() == 10 and (half != random_halves(21, np.random.default_rng(1))).any()


def test_total_distance_to_the_three_closest_by_hand() -> None:
    support = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [100.0, 0.0]])
    found = support_distance(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), support)
    # 0 + 1 + 5; from (3, 4): 0 + 5 + sqrt(9 + 9)
    assert found.tolist() == pytest.approx([6.0, 5.0 + 18**0.5])


def test_more_support_never_raises_a_score() -> None:
    generator = torch.Generator().manual_seed(0)
    images, support, extra = (torch.randn(n, 8, generator=generator) for n in (20, 10, 15))
    assert (support_distance(images, torch.cat([support, extra])) <= support_distance(images, support)).all()


def test_too_small_a_support_set_is_one_sentence() -> None:
    with pytest.raises(UserError, match="at least 3 images, found 2"):
        support_distance(torch.zeros(1, 2), torch.zeros(2, 2))
