"""Histograms on disk."""

import numpy as np
import pytest

from variad.core.errors import UserError
from variad.evaluation.pixel import PixelHistograms, read_pixel_histograms, write_pixel_histograms


def histograms(seed):
    rng = np.random.default_rng(seed)
    return PixelHistograms(
        ("test/good/ä 1", "test/crack/2"),
        np.array([0.5, 1.25], np.float32),
        rng.integers(0, 2**31, (2, 3)),
        rng.integers(0, 9, (2, 3)),
    )


def test_round_trip_in_numeric_order_of_runs(tmp_path):
    written = {run: histograms(run) for run in (10, 2, 0)}
    write_pixel_histograms(tmp_path / "h.h5", written)
    read = read_pixel_histograms(tmp_path / "h.h5")
    assert list(read) == [0, 2, 10]
    for run, expected in written.items():
        assert read[run].image_id == expected.image_id
        assert (read[run].edges == expected.edges).all()
        assert (read[run].positives == expected.positives).all()
        assert (read[run].negatives == expected.negatives).all()


def test_equal_histograms_are_equal_files(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_pixel_histograms(tmp_path / name, {0: histograms(0)})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_no_runs(tmp_path):
    write_pixel_histograms(tmp_path / "h.h5", {})
    assert read_pixel_histograms(tmp_path / "h.h5") == {}


def test_not_such_a_file(tmp_path):
    (tmp_path / "h.h5").write_text("no")
    for name in ("h.h5", "missing.h5"):
        with pytest.raises(UserError, match=f"{name}: expected pixel histograms"):
            read_pixel_histograms(tmp_path / name)
