import math

import pytest
import torch

from variad.detectors.cflow_coupling import PositionCodes, axis_codes


def test_a_code_by_hand():
    # frequencies of 4 numbers: 1 and 1e4 ** (-2 / 4) = 0.01
    expected = [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)]
    assert axis_codes(5, 4)[3].tolist() == pytest.approx(expected, abs=1e-6)


def test_projection_equals_the_linear_layer_of_whole_codes():
    codes = PositionCodes(3, 5, 8)
    weight, bias = torch.randn(8, 11), torch.randn(11)
    whole = torch.stack([torch.cat([codes.columns[w], codes.rows[h]]) for h in range(3) for w in range(5)])
    torch.testing.assert_close(codes.project_all(weight, bias), whole @ weight + bias)
    positions = torch.tensor([7, 0, 15 + 14])  # the last in a second image
    found = codes.gather(codes.project(weight, bias), *codes.locate(positions))
    torch.testing.assert_close(found, (whole @ weight + bias)[[7, 0, 14]])
