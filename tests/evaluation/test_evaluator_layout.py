"""Kept maps lie where the evaluators of MVTec AD and MVTec LOCO AD look for them, and give their values.

Both take a folder of maps and the data set. For each test image, say ``bottle/test/crack/003.png``, MVTec AD's reads
``bottle/test/crack/003.tif`` or ``.tiff`` and ``bottle/ground_truth/crack/003_mask.png``. MVTec LOCO AD's goes from
every TIFF below ``{object}/test`` to the folder of its name below ``ground_truth``; what has none must be in ``good``.
"""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.evaluation.test_pixel import slow_aupro
from tests.evaluation.test_spro import slow_au_spro
from tests.layouts import Size, mvtec_ad, mvtec_loco
from variad.core.records import read_masks
from variad.datasets.adapters import open_dataset, saturations_of
from variad.datasets.manifest import index_category, pack_category
from variad.datasets.masks import read_defects
from variad.detectors.interface import DetectorInput, Scored
from variad.detectors.scoring import TestSet, score_run, write_map
from variad.evaluation.pixel import FPR_LIMITS

SIZE = Size(train=1, good=3, defective=3, height=24, width=40)


class NoisyBrightness:
    """Scores by the mean of its features, which hold noise."""

    uses_images, map_sigma = False, 1.0

    def score(self, images: DetectorInput) -> Scored:
        maps = images.features["layer"][..., 0]
        return Scored(maps.max(axis=(1, 2)), maps)


def scored(adapter, root, category, work):
    """Pixel metrics of a run of one category whose maps are kept below ``work/maps/run_0``."""
    dataset = open_dataset(adapter, root)
    manifest = index_category(dataset, category)
    images, features = work / "images.h5", work / "features.h5"
    pack_category(manifest, root, images, 32, adapter, category, saturations_of(dataset, category))
    rng = np.random.default_rng(0)
    with h5py.File(features, "w") as file:
        file.create_dataset("image_id", data=list(manifest["image_id"]), dtype=h5py.string_dtype())
        file.create_dataset("layer", data=rng.random((len(manifest), 8, 8, 1), dtype=np.float32))
    test = TestSet(manifest[manifest["split"] == "test"], images, features, ["layer"], 32, None)
    kept = work / "maps/run_0" / category
    masks, defects = read_masks(images, test.image_ids), read_defects(images, test.image_ids)
    return score_run(NoisyBrightness(), test, masks, kept, defects)[1]


def read_map(path):
    anomaly_map = tifffile.imread(path)
    assert anomaly_map.dtype == np.float32
    assert anomaly_map.ndim == 2
    return anomaly_map


def test_mvtec_ad(tmp_path):
    root, maps_dir = mvtec_ad(tmp_path / "data", ("bottle",), SIZE), tmp_path / "maps/run_0"
    metrics = scored("mvtec_ad", root, "bottle", tmp_path)
    maps, masks, read = [], [], set()
    for folder in sorted((root / "bottle/test").iterdir()):
        assert folder.name.replace("_", "").isalpha()  # the evaluator passes over other names
        for image in sorted(folder.glob("*.png")):
            found = [maps_dir / "bottle/test" / folder.name / f"{image.stem}{suffix}" for suffix in (".tif", ".tiff")]
            (path,) = [candidate for candidate in found if candidate.exists()]
            read.add(path)
            truth = root / "bottle/ground_truth" / folder.name / f"{image.stem}_mask.png"
            maps.append(read_map(path))
            good = folder.name == "good"
            masks.append(np.zeros(maps[-1].shape, bool) if good else np.asarray(Image.open(truth)) > 0)
            assert masks[-1].shape == maps[-1].shape == (24, 40)
    assert len(read) == 9
    assert read == {path for path in (tmp_path / "maps").rglob("*") if path.is_file()}
    assert metrics["aupro"] == pytest.approx(slow_aupro(maps, masks, 0.3), abs=1e-9)


def test_mvtec_loco_ad(tmp_path):
    category = "juice_bottle"
    root, maps_dir = mvtec_loco(tmp_path / "data", (category,), SIZE), tmp_path / "maps/run_0"
    metrics = scored("mvtec_loco", root, category, tmp_path)
    saturations = {
        entry["pixel_value"]: entry for entry in json.loads((root / category / "defects_config.json").read_text())
    }
    found = {kind: [] for kind in ("good", "logical_anomalies", "structural_anomalies")}
    tiffs = sorted((maps_dir / category / "test").rglob("*.tiff"))
    truths = {path.relative_to(root / category / "ground_truth") for path in truth_folders(root / category)}
    assert truths == {
        name
        for name in (path.relative_to(maps_dir / category / "test").with_suffix("") for path in tiffs)
        if name.parts[0] != "good"
    }
    for path in tiffs:
        kind, truth = path.parent.name, root / category / "ground_truth" / path.parent.name / path.stem
        channels = [np.asarray(Image.open(file)) for file in sorted(truth.glob("*.png"))]
        assert (kind == "good") == (not channels)
        areas = [saturation_area(channel, saturations[int(channel.max())]) for channel in channels]
        found[kind].append((read_map(path), [channel > 0 for channel in channels], areas))
    for limit in FPR_LIMITS:
        for name in ("logical", "structural"):
            maps, masks, areas = zip(*found["good"], *found[f"{name}_anomalies"], strict=True)
            expected = slow_au_spro(maps, masks, areas, limit)
            assert metrics[f"au_spro_{limit}_{name}"] == pytest.approx(expected, abs=1e-9)


def truth_folders(home: Path) -> list[Path]:
    return [path for kind in (home / "ground_truth").iterdir() for path in kind.iterdir()]


def saturation_area(channel, entry):
    area = np.count_nonzero(channel)
    threshold = entry["saturation_threshold"]
    return int(threshold * area) if entry["relative_saturation"] else min(threshold, area)


def test_a_map_on_disk_may_be_smaller_and_is_then_of_means(tmp_path):
    anomaly_map = np.arange(32, dtype=np.float32).reshape(4, 8)
    write_map(tmp_path / "small.tiff", anomaly_map, 4)
    np.testing.assert_allclose(read_map(tmp_path / "small.tiff"), anomaly_map.reshape(2, 2, 4, 2).mean(axis=(1, 3)))
    for side in (None, 8, 100):
        write_map(tmp_path / "whole.tiff", anomaly_map, side)
        np.testing.assert_array_equal(read_map(tmp_path / "whole.tiff"), anomaly_map)
