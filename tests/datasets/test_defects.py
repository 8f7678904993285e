"""Single defects in images.h5."""

import h5py
import numpy as np

from variad.datasets.masks import defect_of, read_defects, write_defects


def test_round_trip_of_overlapping_defects(tmp_path):
    masks = np.zeros((2, 4, 6), np.uint8)
    masks[0, 1:3, 2:5], masks[1, 2:, 4:] = 255, 255
    with h5py.File(tmp_path / "images.h5", "w") as file:
        write_defects(file, "test/logical_anomalies/000", masks, [4, 1])
    found = read_defects(tmp_path / "images.h5", ["test/good/000", "test/logical_anomalies/000"])
    assert list(found) == ["test/logical_anomalies/000"]
    first, second = found["test/logical_anomalies/000"]
    assert first.pixels.tolist() == [8, 9, 10, 14, 15, 16]
    assert second.pixels.tolist() == [16, 17, 22, 23]
    assert (first.saturation_area, second.saturation_area) == (4, 1)
    assert first.shape == second.shape == (4, 6)


def test_a_file_without_defects(tmp_path):
    h5py.File(tmp_path / "images.h5", "w").close()
    assert read_defects(tmp_path / "images.h5", ["test/good/000"]) == {}


def test_a_defect_saturates_at_its_whole_area_if_nothing_else_is_said():
    assert defect_of(np.eye(3, dtype=bool)).saturation_area == 3
    assert defect_of(np.eye(3, dtype=bool), 2).saturation_area == 2
