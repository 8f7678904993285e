import numpy as np
import pytest
import torch
from torch.nn import functional

from variad.detectors.reverse_distillation import distance_maps, distillation_loss, summed_maps


def layer(*images):
    """Layers ``[B, 1, 2, 2]`` of images given as position by position."""
    return torch.tensor(images, dtype=torch.float32)[:, None]


TEACHER = layer([[3, 4], [0, 0]], [[1, 0], [0, 1]])
STUDENT = layer([[4, 3], [0, 0]], [[1, 0], [0, -1]])


def test_loss_by_hand():
    # the first image: 24 / (5 * 5); the second: (1 - 1) / 2 although one position is alike and the other opposite
    assert distillation_loss([TEACHER], [STUDENT]).item() == pytest.approx((0.04 + 1) / 2)
    assert distillation_loss([TEACHER] * 3, [STUDENT] * 3).item() == pytest.approx(3 * 0.52)
    assert distillation_loss([TEACHER], [7 * TEACHER]).item() == pytest.approx(0, abs=1e-6)


def test_distances_by_hand():
    expected = [[[0.04, 1]], [[0, 2]]]
    np.testing.assert_allclose(distance_maps([TEACHER], [STUDENT])[0], expected, atol=1e-6)


def test_loss_and_gradient_equal_torchs_cosine_similarity():
    draw = torch.Generator().manual_seed(0)
    teacher, student = (torch.rand(3, 5, 4, 6, generator=draw).requires_grad_() for _ in range(2))
    distillation_loss([teacher.detach()], [student]).backward()
    ours = student.grad.clone()
    student.grad = None
    (1 - functional.cosine_similarity(teacher.detach().flatten(1), student.flatten(1))).mean().backward()
    np.testing.assert_allclose(ours, student.grad, rtol=1e-4, atol=1e-8)


def test_features_that_are_zero_divide_by_no_zero():
    zero = torch.zeros(2, 3, 3, 4, requires_grad=True)
    loss = distillation_loss([torch.zeros(2, 3, 3, 4)], [zero])
    loss.backward()
    assert loss.item() == 1 and torch.isfinite(zero.grad).all()
    np.testing.assert_array_equal(distance_maps([torch.zeros(1, 1, 1, 2)], [torch.ones(1, 1, 1, 2)])[0], 1)


def test_sum_of_maps_by_hand():
    # corners on corners: three pixels over two positions take the ends and the middle
    coarse, fine = torch.tensor([[[0.0, 2.0], [4.0, 6.0]]]), torch.arange(9.0).view(1, 3, 3)
    expected = np.array([[0, 1, 2], [2, 3, 4], [4, 5, 6]]) + np.arange(9).reshape(3, 3)
    np.testing.assert_allclose(summed_maps([fine, coarse], 3)[0], expected)
