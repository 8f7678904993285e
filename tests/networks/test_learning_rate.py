import pytest

from variad.networks.training import warm_cosine


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.25), (3, 1.0), (4, 1.0), (8, 0.5), (10, (1 - 2**-0.5) / 2), (12, 0.0)],
)
def test_it_rises_along_a_line_and_falls_along_a_cosine(step, rate):
    assert warm_cosine(step, peak=1.0, warm_up=4, steps=12) == pytest.approx(rate, abs=1e-12)
