"""A user's own odd images, from files to table, gallery and predictions."""

import numpy as np
import pytest
import yaml
from PIL import Image

from variad.core.tables import read_table

from .running import TINY, succeed
from .test_dag import in_place

pytestmark = pytest.mark.slow


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def photos(tmp_path):
    """Five good images of five kinds, four test images, three unlabelled ones; no masks."""
    draw = np.random.default_rng(0)
    home = tmp_path / "Fotos für später" / "Deckel groß"
    grey = draw.integers(90, 160, (80, 80), dtype=np.uint8)
    save(home / "train/good/grey 8 bit.png", grey)
    save(home / "train/good/sixteen.png", grey.astype(np.uint16) * 257)
    save(home / "train/good/rgba.png", np.dstack([grey] * 3 + [np.full_like(grey, 255)]))
    save(home / "train/good/ünlich.png", np.dstack([grey] * 3))
    save(home / "train/good/other size.png", draw.integers(90, 160, (60, 100, 3), dtype=np.uint8))
    for index in range(2):
        save(home / f"test/good/{index}.png", grey + np.uint8(index + 1))
        broken = grey.copy()
        broken[20:50, 20:50] = 255 * (index % 2)
        save(home / f"test/Kratzer & <b>/{index}.png", broken)
        save(home / f"unlabelled/neu {index}.png", broken)
    save(home / "unlabelled/fine.png", grey)
    return home.parent


@pytest.fixture
def config(photos, tmp_path):
    study = yaml.safe_load(TINY.read_text())
    category = {"Deckel groß": {"class_name": "bottle cap"}}
    study["datasets"] = {"Meine Fotos": {"adapter": "folder", "path": str(photos), "categories": category}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(study, allow_unicode=True), "utf-8")
    return path


def test_odd_images_run_through_to_table_gallery_and_predictions(config, tmp_path):
    folder = in_place(tmp_path / "work")
    succeed(folder, "--cores", "2", config=config)
    summary = read_table(folder / "results/tables/summary.csv", "summary")
    assert len(summary.query("metric == 'image_auroc'")) == 8
    assert "pixel_auroc" not in set(summary["metric"])
    page = (folder / "results/gallery/Meine Fotos/Deckel groß/index.html").read_text("utf-8")
    assert "<b>" not in page

    succeed(folder, "--cores", "2", "predict", config=config)
    cell = folder / "results/Meine Fotos/Deckel groß/few_shot/generated_tuned/patchcore"
    table = read_table(cell / "predictions.csv", "predictions")
    assert list(table["rank"]) == [1, 2, 3]
    assert table.iloc[-1]["image_id"] == "unlabelled/fine"
    names = ["fine.png.png", "neu 0.png.png", "neu 1.png.png"]
    assert sorted(path.name for path in (cell / "heatmaps").glob("*.png")) == names
    assert list(table["photograph"])[-1] == "fine.png"


def test_images_without_labels_need_no_test_set(photos, config, tmp_path):
    import shutil

    shutil.rmtree(photos / "Deckel groß/test")
    folder = in_place(tmp_path / "work")
    succeed(folder, "--cores", "2", "predict", config=config)
    table = read_table(
        folder / "results/Meine Fotos/Deckel groß/few_shot/generated_tuned/patchcore/predictions.csv", "predictions"
    )
    assert len(table) == 3 and table["threshold"].nunique() == 1
