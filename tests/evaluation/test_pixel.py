"""Pixel metrics against hand-made cases, scikit-learn and a slow implementation of the per-region overlap."""

import itertools
import logging

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from variad.core.errors import UserError
from variad.evaluation.pixel import FPR_LIMIT, PixelPool, evaluate_maps, pixel_auroc
from variad.evaluation.ranking import overlap_areas, rank_histograms


def regions_by_flooding(mask):
    """Connected regions as lists of pixels, corners included, by flood fill."""
    left, found = {tuple(pixel) for pixel in np.argwhere(mask)}, []
    while left:
        queue, region = [left.pop()], []
        while queue:
            row, column = queue.pop()
            region.append((row, column))
            around = {(row + dy, column + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= around
            queue.extend(around)
        found.append(region)
    return found


def slow_aupro(maps, masks, limit):
    """Overlap and false positive rate at every threshold, integrated by trapezoids."""
    values = np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]
    regions = [(i, region) for i, mask in enumerate(masks) for region in regions_by_flooding(mask)]
    outside = np.concatenate([m[~k] for m, k in zip(maps, masks, strict=True)])
    points = [(0.0, 0.0)]
    for value in values:
        overlap = np.mean([np.mean([maps[i][pixel] >= value for pixel in region]) for i, region in regions])
        points.append((np.mean(outside >= value), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 >= limit:
            break
        if x1 > limit:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


def random_case(seed, levels):
    rng = np.random.default_rng(seed)
    shapes = [(9, 14), (16, 8), (5, 5), (12, 12)]
    masks = [rng.random(shape) < 0.25 for shape in shapes]
    masks[2][:] = False
    maps = [
        (rng.integers(0, levels, shape) + 2 * mask).astype(float) for shape, mask in zip(shapes, masks, strict=True)
    ]
    return maps, masks


def as_run(maps, masks):
    """What ``evaluate_maps`` takes."""
    names = [f"test/x/{i}" for i in range(len(maps))]
    labels = {name: int(mask.any()) for name, mask in zip(names, masks, strict=True)}
    kept = {name: mask.astype(np.uint8) * 255 for name, mask in zip(names, masks, strict=True) if mask.any()}
    return list(zip(names, maps, strict=True)), labels, kept


def aupro(maps, masks, limit=FPR_LIMIT):
    """As ``evaluate_maps`` computes it, up to any limit."""
    pool = PixelPool()
    for name, (anomaly_map, mask) in enumerate(zip(maps, masks, strict=True)):
        pool.add(str(name), anomaly_map, mask)
    return overlap_areas(pool.rankings()[1], [limit])[limit]


@pytest.mark.parametrize("levels", [4, 10_000])
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_equals_slow_implementation(levels, limit):
    for seed in range(5):
        maps, masks = random_case(seed, levels)
        assert aupro(maps, masks, limit) == pytest.approx(slow_aupro(maps, masks, limit), abs=1e-9)


def test_aupro_counts_regions_not_pixels():
    # Two regions, of one and of ten pixels; only the small one is found before any false alarm, the other never.
    mask = np.zeros((4, 16), bool)
    mask[0, 0], mask[2, 3:13] = True, True
    anomaly_map = np.where(mask, 0.0, 1.0)
    anomaly_map[0, 0] = 2.0
    # At no false alarm overlap is 1/2; it stays there until all negatives are alarms.
    assert aupro([anomaly_map], [mask]) == pytest.approx(0.5)


def test_regions_touch_at_corners():
    mask = np.eye(4, dtype=bool)
    mask[0, 3] = True
    anomaly_map = np.zeros((4, 4))
    anomaly_map[0, 3] = 1.0
    # One diagonal region with score 0 as all negatives: overlap 1/2, then straight to (1, 1).
    assert aupro([anomaly_map], [mask], 1.0) == pytest.approx(0.75)


def test_perfect_map():
    mask = np.zeros((30, 30), bool)
    mask[3:9, 4:20], mask[20:23, 1:8] = True, True
    assert aupro([mask * 1.0], [mask]) == 1.0
    assert pixel_auroc([mask * 1.0], [mask]) == 1.0


@pytest.mark.parametrize("levels", [3, 50, 10_000])
def test_pooled_metrics_equal_scikit_learn(levels):
    maps, masks = random_case(levels, levels)
    labels = np.concatenate([mask.ravel() for mask in masks])
    scores = np.concatenate([m.ravel() for m in maps]).astype(np.float32)
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-30))
    found = evaluate_maps(*as_run(maps, masks))[0]
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found["pixel_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert found["pixel_f1_max"] == pytest.approx(f1, abs=1e-12)


def test_metrics_do_not_change_with_image_order_or_scale():
    maps, masks = random_case(3, 30)
    found = evaluate_maps(*as_run(maps, masks))[0]
    assert evaluate_maps(*as_run(maps[::-1], masks[::-1]))[0] == pytest.approx(found, abs=1e-12)
    assert evaluate_maps(*as_run([4 * m + 1 for m in maps], masks))[0] == found


def test_one_class_of_pixels():
    blank = np.zeros((3, 3))
    with pytest.raises(ValueError, match="expected positives and negatives"):
        pixel_auroc([blank], [blank > 0])
    with pytest.raises(ValueError, match="finite"):
        pixel_auroc([np.full((2, 2), np.nan)], [np.eye(2, dtype=bool)])
    with pytest.raises(ValueError, match="limit"):
        aupro([blank], [np.eye(3, dtype=bool)], 0.0)


def test_evaluate_maps_gives_all_metrics_and_histograms():
    maps, masks = random_case(7, 10_000)
    metrics, histograms = evaluate_maps(iter(as_run(maps, masks)[0]), *as_run(maps, masks)[1:])
    assert list(metrics) == ["pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro"]
    assert (metrics["pixel_auroc"], metrics["aupro"]) == (pixel_auroc(maps, masks), aupro(maps, masks))
    assert histograms.image_id == tuple(f"test/x/{i}" for i in range(4))
    assert histograms.positives.sum(axis=1).tolist() == [mask.sum() for mask in masks]
    assert histograms.negatives.sum(axis=1).tolist() == [(~mask).sum() for mask in masks]
    for index, (anomaly_map, mask) in enumerate(zip(maps, masks, strict=True)):
        bins = [-np.inf, *histograms.edges, np.inf]
        assert (np.histogram(anomaly_map[mask].astype(np.float32), bins)[0] == histograms.positives[index]).all()
        assert (np.histogram(anomaly_map[~mask].astype(np.float32), bins)[0] == histograms.negatives[index]).all()


def test_histogram_by_hand():
    pool = PixelPool()
    pool.add("map", np.array([[0.0, 1.0, 1.5], [2.0, 2.0, 9.0]]), np.array([[0, 0, 255], [0, 255, 255]]))
    histograms = pool.histograms(bins=3)  # edges at the values of ranks 2 and 4
    assert histograms.edges.tolist() == [1.5, 2.0]
    assert histograms.positives.tolist() == [[0, 1, 2]]
    assert histograms.negatives.tolist() == [[2, 0, 1]]


def test_histograms_reproduce_pixel_auroc():
    rng = np.random.default_rng(0)
    masks = [np.zeros((80, 80), bool) for _ in range(12)]
    for mask in masks[:6]:
        mask[10:30, 20:45] = True
    maps = [rng.gamma(2, size=mask.shape) + 1.2 * mask for mask in masks]
    metrics, histograms = evaluate_maps(*as_run(maps, masks))
    pooled = rank_histograms(histograms.positives.sum(axis=0), histograms.negatives.sum(axis=0))
    assert histograms.positives.shape == (12, 1024)
    assert float(pooled.auroc()) == pytest.approx(metrics["pixel_auroc"], abs=5e-5)


def test_constant_maps_are_chance():
    maps, masks = random_case(0, 5)
    metrics, histograms = evaluate_maps(*as_run([np.ones_like(m) for m in maps], masks))
    assert metrics["pixel_auroc"] == 0.5
    assert rank_histograms(histograms.positives.sum(axis=0), histograms.negatives.sum(axis=0)).auroc() == 0.5


def test_anomalous_images_without_mask_are_left_out_and_counted(caplog):
    maps, masks = random_case(1, 100)
    run, labels, kept = as_run(maps, masks)
    del kept["test/x/0"]
    with caplog.at_level(logging.INFO, logger="variad"):
        metrics, histograms = evaluate_maps(run, labels, kept)
    assert metrics["pixel_auroc"] == pixel_auroc(maps[1:], masks[1:])
    assert histograms.image_id == ("test/x/1", "test/x/2", "test/x/3")
    assert "1 anomalous images have no mask" in caplog.text


def test_without_any_mask_there_are_no_pixel_metrics():
    maps, masks = random_case(1, 100)
    run, labels, _ = as_run(maps, masks)
    seen = []
    assert evaluate_maps((seen.append(name) or (name, m) for name, m in run), labels, {}) == ({}, None)
    assert len(seen) == 4  # the maps are still taken, since their writer may sit behind the iterator
    assert evaluate_maps(run, labels, {name: np.zeros_like(m) for name, m in run}) == ({}, None)


def test_mask_of_another_size():
    with pytest.raises(UserError, match=r"test/x/0: expected a mask of the map's size \(3, 4\), found \(4, 3\)"):
        evaluate_maps([("test/x/0", np.zeros((3, 4)))], {"test/x/0": 1}, {"test/x/0": np.ones((4, 3))})
