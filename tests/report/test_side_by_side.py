"""Training sets under each other."""

import h5py
import numpy as np
from PIL import Image

from variad.generation.added import duplicate, no_images, write_added
from variad.generation.settings import Request
from variad.report.contact_sheet import COLUMNS, SET_GAP, SET_HEAD, SET_TEXT_WIDTH, SET_TILE, draw_side_by_side


def test_each_set_is_a_row_of_parent_and_images(tmp_path):
    colours = np.array([[250, 0, 0], [0, 250, 0]], np.uint8)
    parents = np.broadcast_to(colours[:, None, None], (2, 32, 32, 3)).copy()
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = parents
        file.create_dataset("image_id", data=["train/good/a", "train/good/b"], dtype=h5py.string_dtype())
    requests = [Request(0, "train/good/a", 1), Request(0, "train/good/b", 2), Request(1, "train/good/b", 3)]
    write_added(tmp_path / "two.h5", duplicate(255 - parents[[0, 1, 1]], requests), {})
    write_added(tmp_path / "none.h5", no_images(32), {})
    files = [tmp_path / "none.h5", tmp_path / "two.h5"]
    draw_side_by_side(tmp_path / "out.png", "a title", tmp_path / "images.h5", ["original", "two"], files)
    sheet = np.asarray(Image.open(tmp_path / "out.png"))
    assert sheet.shape == (
        SET_HEAD + (SET_TILE + SET_GAP) + SET_GAP,
        SET_TEXT_WIDTH + COLUMNS * (SET_TILE + SET_GAP) + SET_GAP,
        3,
    )
    middle = SET_HEAD + SET_TILE // 2
    row = [tuple(sheet[middle, SET_TEXT_WIDTH + column * (SET_TILE + SET_GAP) + SET_TILE // 2]) for column in range(3)]
    assert row[0] == (250, 0, 0) and row[1] == (5, 255, 255)
    assert row[2] == tuple(sheet[2, 2])  # the run's other shot is not among them
