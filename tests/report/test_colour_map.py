"""The colour map is viridis, and its scale is robust."""

import matplotlib
import numpy as np

from variad.report.drawing import colour_scale, colourise, lookup_table


def test_lookup_table_is_viridis() -> None:
    viridis = matplotlib.colormaps["viridis"](np.arange(256))[:, :3] * 255
    assert np.abs(lookup_table().astype(float) - viridis).max() < 2


def test_colourise_saturates_outside_the_scale() -> None:
    table = lookup_table()
    found = colourise(np.array([[-5.0, 1.0, 2.0, 3.0, 99.0]]), low=1.0, high=3.0)
    assert found.tolist() == [[table[0].tolist(), table[0].tolist(), table[128].tolist(), *[table[255].tolist()] * 2]]


def test_colour_scale_spans_all_maps_but_not_a_hot_pixel() -> None:
    first, second = np.zeros((100, 100)), np.full((100, 100), 4.0)
    second[0, 0] = 1000.0
    assert colour_scale([first, second]) == (0.0, 4.0)


def test_colour_scale_of_constant_or_no_maps_is_not_empty() -> None:
    assert colour_scale([np.full((3, 3), 2.0)]) == (2.0, 3.0)
    assert colour_scale([]) == (0.0, 1.0)
