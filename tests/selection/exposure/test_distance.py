"""The score by hand."""

import pytest
import torch

from variad.core.errors import UserError
from variad.selection.exposure_training import support_distance


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
