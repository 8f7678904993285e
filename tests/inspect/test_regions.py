"""Regions of a map that is never made as a whole are those of the whole map."""

import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import find_objects, label

from variad.detectors.anomaly_map import MapSize, full_size_map
from variad.inspect import regions
from variad.inspect.regions import Region, find_regions


def expected(patch_map, size, threshold, smallest=1):
    """From the whole map, by scipy."""
    whole = full_size_map(patch_map, size)
    labels, _ = label(whole > threshold)
    found = []
    for number, (rows, columns) in enumerate(find_objects(labels), start=1):
        inside = np.where(labels == number, whole, -np.inf)
        peak_y, peak_x = np.unravel_index(np.argmax(inside), inside.shape)
        box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        area = int((labels == number).sum())
        if area >= smallest:
            found.append(Region(*box, area, float(inside.max()), int(peak_x), int(peak_y)))
    return sorted(found, key=lambda region: (-region.peak, region.top, region.left))


def test_a_region_counted_by_hand():
    """Four patches of 4 x 4, each two pixels wide: nothing is interpolated at the centres of what is as large."""
    patch_map = np.zeros((4, 4), np.float32)
    patch_map[1, 2], patch_map[2, 2], patch_map[3, 0] = 2.0, 3.0, 1.0
    found = find_regions(patch_map, MapSize(4, 4, 4), 0.5, smallest=1)
    assert found == [Region(2, 1, 1, 2, 2, 3.0, 2, 2), Region(0, 3, 1, 1, 1, 1.0, 0, 3)]
    assert find_regions(patch_map, MapSize(4, 4, 4), 1.0, smallest=1) == found[:1]  # above, not at
    assert find_regions(patch_map, MapSize(4, 4, 4), 0.5, smallest=2) == found[:1]


def test_corners_do_not_connect_and_sides_do():
    patch_map = np.eye(3, dtype=np.float32)
    assert [region.area for region in find_regions(patch_map, MapSize(3, 3, 3), 0.5)] == [1, 1, 1]
    patch_map[0, 1] = 1
    assert [region.area for region in find_regions(patch_map, MapSize(3, 3, 3), 0.5)] == [3, 1]


@pytest.mark.parametrize("strip", [1, 900, 10**9])
@pytest.mark.parametrize(
    "size",
    [
        MapSize(90, 150, 32, None, 1.5),  # enlarged
        MapSize(20, 24, 64, None, 0.0),  # shrunk
        MapSize(97, 61, 40, 28, 2.0),  # with a border that the detector never saw
    ],
    ids=lambda size: f"{size.height}x{size.width}",
)
def test_regions_are_those_of_the_whole_map(monkeypatch, strip, size):
    monkeypatch.setattr(regions, "STRIP", strip)
    draw = np.random.default_rng(0)
    several = 0
    for _ in range(20):
        patch_map = draw.random((8, 9)).astype(np.float32)
        for share in (0.3, 0.6, 0.9, 0.99):
            threshold = float(np.quantile(full_size_map(patch_map, size), share))
            want = expected(patch_map, size, threshold)
            several += len(want) > 1
            assert find_regions(patch_map, size, threshold, smallest=1) == want
            assert find_regions(patch_map, size, threshold, smallest=9) == expected(patch_map, size, threshold, 9)
    assert several > 20


def test_a_spiral_is_one_region_however_thin_the_strips(monkeypatch):
    """It is joined and joined again from strip to strip."""
    monkeypatch.setattr(regions, "STRIP", 1)
    rows = ["111111111", "000000001", "111111101", "100000101", "101110101", "101000101", "101111101", "100000001",
            "111111111"]  # fmt: skip
    patch_map = np.array([[float(cell) for cell in row] for row in rows], np.float32)
    size = MapSize(9, 9, 9)
    assert find_regions(patch_map, size, 0.5) == [Region(0, 0, 9, 9, int(patch_map.sum()), 1.0, 0, 0)]


def test_nothing_above_the_threshold_and_no_threshold_find_nothing():
    patch_map = np.full((3, 3), 0.5, np.float32)
    assert find_regions(patch_map, MapSize(9, 9, 9), 0.5) == find_regions(patch_map, MapSize(9, 9, 9), None) == []
    assert len(find_regions(patch_map, MapSize(9, 9, 9), 0.49)) == 1
    assert find_regions(-patch_map, MapSize(9, 9, 9), -0.6) == [Region(0, 0, 9, 9, 81, -0.5, 0, 0)]


def test_what_is_smaller_than_a_pixel_of_the_detector_is_left_out():
    """A peak whose tip is just above the threshold: 3 x 3 of the photograph's pixels, 16 x 16 of which are one."""
    patch_map = np.zeros((4, 4), np.float32)
    patch_map[1, 1] = 1
    size = MapSize(64, 64, 4)
    tip = find_regions(patch_map, size, 0.8, smallest=1)
    assert [region.area < 256 for region in tip] == [True]
    assert find_regions(patch_map, size, 0.8) == []
    assert [region.area >= 256 for region in find_regions(patch_map, size, 0.3)] == [True]


def test_a_photograph_of_20_megapixels_needs_no_map_of_its_size():
    patch_map = np.random.default_rng(0).random((28, 28)).astype(np.float32)
    size = MapSize(3648, 5472, 224, None, 4.0)  # 80 MB as float32, 160 MB as float64
    threshold = float(np.quantile(full_size_map(patch_map, MapSize(224, 224, 224, None, 4.0)), 0.5))
    tracemalloc.start()
    found = find_regions(patch_map, size, threshold)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6
    assert 0.45 < sum(region.area for region in found) / (size.height * size.width) < 0.55
