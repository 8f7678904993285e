"""Shots and added images as files for any other detector."""

import numpy as np
from PIL import Image

from variad.generation.added import AddedImages, export_training_set


def test_shots_of_one_stem_from_several_folders_are_all_there(tmp_path):
    shots = ["train/good/020", "train/good/monday/020", "train/ok/020", "train/good/021"]
    images = np.stack([np.full((2, 2, 3), value, np.uint8) for value in range(5)])
    added = AddedImages.of(images[4:], [], np.zeros(1))
    added.run, added.accepted = np.array([0]), np.array([True])
    assert export_training_set(tmp_path, shots, images[:4], added, 0) == 5
    found = {path.name: int(np.asarray(Image.open(path))[0, 0, 0]) for path in tmp_path.iterdir()}
    assert found == {"good_020.png": 0, "good_monday_020.png": 1, "ok_020.png": 2, "021.png": 3, "added_00000.png": 4}
