import pytest

from variad.datasets.masks import Saturation


@pytest.mark.parametrize(
    ("threshold", "relative", "area", "expected"),
    [
        (100, False, 5000, 100),
        (100, False, 30, 30),  # a defect smaller than its threshold
        (1.0, True, 77, 77),
        (0.5, True, 77, 38),  # rounded down, as the evaluator does
        (0.29, True, 100, 28),  # 0.29 * 100 is a little below 29, and the evaluator takes it so
        (0.01, True, 5, 1),  # at least one pixel: the evaluator would divide by zero
    ],
)
def test_area_by_hand(threshold, relative, area, expected):
    assert Saturation("x", threshold, relative).area(area) == expected
