"""Pictures of the gallery show what they were made from."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from variad.core.errors import UserError
from variad.report.drawing import lookup_table
from variad.report.gallery import save_map, save_mask, save_picture
from variad.report.heatmaps import first_kept_run, read_map


def test_picture_keeps_its_colours_and_shrinks(tmp_path: Path) -> None:
    image = np.zeros((500, 400, 3), np.uint8)
    image[:, :200], image[:, 200:] = (200, 30, 60), (20, 160, 90)
    save_picture(image, tmp_path / "0.jpg")
    with Image.open(tmp_path / "0.jpg") as stored:
        found = np.asarray(stored.convert("RGB")).astype(float)
    assert found.shape == (224, 224, 3)
    assert np.abs(found[:, :100].mean((0, 1)) - (200, 30, 60)).max() < 3
    assert np.abs(found[:, 124:].mean((0, 1)) - (20, 160, 90)).max() < 3


def test_grey_picture_has_one_channel_and_is_not_enlarged(tmp_path: Path) -> None:
    save_picture(np.full((32, 32, 3), 77, np.uint8), tmp_path / "0.jpg")
    with Image.open(tmp_path / "0.jpg") as stored:
        assert (stored.mode, stored.size) == ("L", (32, 32))
        assert abs(float(np.asarray(stored).mean()) - 77) < 1


def test_mask_of_one_pixel_stays_visible(tmp_path: Path) -> None:
    mask = np.zeros((1000, 1000), np.uint8)
    mask[500, 250] = 255
    save_mask(mask, tmp_path / "0.png")
    with Image.open(tmp_path / "0.png") as stored:
        found = np.asarray(stored)
    assert np.argwhere(found).tolist() == [[112, 56]]


def test_map_picture_has_the_colours_of_its_values(tmp_path: Path) -> None:
    values = np.zeros((112, 112), np.float32)
    values[:, 56:] = 2.0
    save_map(values, 0.0, 2.0, tmp_path / "0.jpg")
    with Image.open(tmp_path / "0.jpg") as stored:
        found = np.asarray(stored).astype(float)
    assert np.abs(found[:, :48].mean((0, 1)) - lookup_table()[0]).max() < 4
    assert np.abs(found[:, 64:].mean((0, 1)) - lookup_table()[255]).max() < 4


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_read_map_averages_blocks(tmp_path: Path, compression: str | None) -> None:
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    tifffile.imwrite(tmp_path / "map.tiff", values, compression=compression)
    assert read_map(tmp_path / "map.tiff", 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_missing_and_broken_maps_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"000\.tiff: expected the anomaly map of a scored image, found no such file"):
        read_map(tmp_path / "000.tiff", 2)
    (tmp_path / "broken.tiff").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"broken\.tiff: expected an anomaly map as TIFF"):
        read_map(tmp_path / "broken.tiff", 2)


def test_first_kept_run_is_the_lowest_number(tmp_path: Path) -> None:
    assert first_kept_run(tmp_path) is None
    for run in (10, 2):
        (tmp_path / f"run_{run}").mkdir()
    assert first_kept_run(tmp_path) == 2
