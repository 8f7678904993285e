"""Figure 12: what each image is, the layout, and distances in feature space."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from variad.core.errors import UserError
from variad.core.tables import read_table, write_table
from variad.paper.figures import draw_tsne, legend_labels
from variad.paper.tsne import embed, kinds_of, tsne_points

MANIFEST = pd.DataFrame(
    {
        "image_id": ["train/good/0", "train/good/1", "test/good/0", "test/bent/0", "unlabelled/0"],
        "split": ["train", "train", "test", "test", "unlabelled"],
        "label": pd.array([0, 0, 0, 1, None], dtype="Int64"),
    }
)
REAL = np.array([[0.0, 0.0], [0.0, 0.3], [0.1, 0.0], [1.0, 1.0]])


def test_kinds():
    assert kinds_of(MANIFEST).to_dict() == {
        "train/good/0": "train_normal",
        "train/good/1": "train_normal",
        "test/good/0": "test_normal",
        "test/bent/0": "anomalous",
    }


@pytest.fixture
def points(tmp_path):
    parents = ["train/good/0", "train/good/1"]
    generated = np.array([[0.0, 0.1], [0.0, 0.3]])
    write_table(tmp_path / "t.csv", tsne_points(REAL, kinds_of(MANIFEST), generated, parents, 1, 3), "tsne_points")
    return read_table(tmp_path / "t.csv", "tsne_points")


def test_points(points):
    assert points["kind"].tolist() == [
        "train_normal",
        "train_normal",
        "test_normal",
        "anomalous",
        "generated",
        "generated",
    ]
    assert points["run"].tolist() == [pd.NA] * 4 + [1, 1]
    assert points["image"].tolist()[4:] == ["train/good/0", "train/good/1"]
    # to the training normals (0, 0) and (0, .3), which are not their own neighbours
    distances = [0.3, 0.3, 0.1, np.hypot(1, 0.7), 0.1, 0.0]
    assert points["nearest_normal"].tolist() == pytest.approx(distances, abs=1e-4)


def test_legend_counts_images_and_their_distance(points):
    assert legend_labels(points) == {
        "train_normal": "real normal, training (2, 0.300)",
        "test_normal": "real normal, test (1, 0.100)",
        "anomalous": "defective, test (1, 1.221)",
        "generated": "generated (2, 0.050)",
    }


def test_layout_is_reproducible_and_keeps_groups_apart():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0, 0.01, (20, 8)), rng.normal(1, 0.01, (20, 8))])
    plane = embed(features, 5)
    assert plane.shape == (40, 2)
    np.testing.assert_array_equal(plane, embed(features, 5))
    centres = plane.reshape(2, 20, 2).mean(axis=1)
    spread = np.abs(plane.reshape(2, 20, 2) - centres[:, None]).max()
    assert np.abs(centres[0] - centres[1]).max() > 2 * spread


def test_too_few_images():
    with pytest.raises(UserError, match=r"^t-SNE: expected at least 5 images, found 4\.$"):
        embed(REAL, 0)


def test_picture(points, tmp_path):
    draw_tsne([tmp_path / "f.png", tmp_path / "f.svg"], points, "Figure 12")
    text = (tmp_path / "f.svg").read_text("utf-8")
    assert "generated (2, 0.050)" in text
    with Image.open(tmp_path / "f.png") as picture:
        assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= {pixel[:3] for pixel in picture.get_flattened_data()}
