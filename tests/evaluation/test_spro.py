"""AU-sPRO against a slow implementation that tries every threshold, and by hand."""

import itertools

import numpy as np
import pytest

from tests.evaluation.test_pixel import aupro
from tests.memory import measured
from variad.core.errors import UserError
from variad.datasets.masks import defect_of
from variad.evaluation.pixel import FPR_LIMITS, evaluate_maps, highest_values, saturated_areas


def au_spro(maps, defects, limits=FPR_LIMITS):
    """AU-sPRO of one type of anomaly by limit, from maps ``[height, width]`` and the defects of each."""
    highest, negatives = [], []
    for index, (anomaly_map, found) in enumerate(zip(maps, defects, strict=True)):
        highest += [highest_values(str(index), anomaly_map, defect) for defect in found]
        outside = np.ones(anomaly_map.size, bool)
        for defect in found:
            outside[defect.pixels] = False
        negatives.append(np.sort(np.asarray(anomaly_map, np.float32).ravel()[outside]))
    return saturated_areas(highest, negatives, limits)


def slow_au_spro(maps, masks, areas, limit):
    """Saturated overlap and false positive rate at every threshold, integrated by trapezoids.

    ``masks[i]`` are the single masks of image i, ``areas[i]`` their saturation areas.
    """
    thresholds = np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]
    outside = [
        ~np.any(found, axis=0) if found else np.ones(m.shape, bool) for m, found in zip(maps, masks, strict=True)
    ]
    total = sum(np.count_nonzero(pixels) for pixels in outside)
    points = [(0.0, 0.0)]
    for threshold in thresholds:
        overlaps = [
            min(np.count_nonzero(anomaly_map[mask] >= threshold) / area, 1.0)
            for anomaly_map, found, allowed in zip(maps, masks, areas, strict=True)
            for mask, area in zip(found, allowed, strict=True)
        ]
        alarms = sum(np.count_nonzero(m[pixels] >= threshold) for m, pixels in zip(maps, outside, strict=True))
        points.append((alarms / total, np.mean(overlaps)))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 >= limit:
            break
        if x1 > limit:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


def blob(rng, shape):
    """A mask of one to three blocks, which make one defect all the same."""
    mask = np.zeros(shape, bool)
    for _ in range(rng.integers(1, 4)):
        top, left = rng.integers(0, shape[0] - 3), rng.integers(0, shape[1] - 3)
        mask[top : top + rng.integers(2, 6), left : left + rng.integers(2, 6)] = True
    return mask


def random_case(seed, levels):
    """Four maps: two with overlapping defects, one with a single one, one good; areas from 1 pixel to the whole."""
    rng = np.random.default_rng(seed)
    shapes = [(14, 18), (16, 12), (11, 11), (13, 13)]
    masks = [[blob(rng, shape) for _ in range(count)] for shape, count in zip(shapes, (3, 2, 1, 0), strict=True)]
    areas = [[int(rng.integers(1, mask.sum() + 1)) for mask in found] for found in masks]
    maps = [
        (
            rng.integers(0, levels, shape) + levels / 3 * np.any(found, axis=0)
            if found
            else rng.integers(0, levels, shape)
        ).astype(np.float32)
        for shape, found in zip(shapes, masks, strict=True)
    ]
    return maps, masks, areas


def defects_of(masks, areas):
    return [
        [defect_of(m, a) for m, a in zip(found, some, strict=True)] for found, some in zip(masks, areas, strict=True)
    ]


@pytest.mark.parametrize("levels", [4, 30, 100_000])
@pytest.mark.parametrize("seed", range(4))
def test_equals_slow_implementation(seed, levels):
    maps, masks, areas = random_case(seed, levels)
    found = au_spro(maps, defects_of(masks, areas))
    assert list(found) == [0.01, 0.05, 0.1, 0.3, 1.0]
    for limit, value in found.items():
        assert value == pytest.approx(slow_au_spro(maps, masks, areas, limit), abs=1e-9)


def test_by_hand():
    # Ten pixels of defect of which four saturate; scores 9, 8, then one false alarm at 7 of ten negatives, then 6, 5.
    mask = np.zeros((4, 5), bool)
    mask[:2] = True
    anomaly_map = np.zeros((4, 5))
    anomaly_map[0, :4] = 9, 8, 6, 5
    anomaly_map[2, 0] = 7
    # Overlap 1/2 up to a rate of 0.1, then 1; the other six pixels of the defect no longer matter.
    found = au_spro([anomaly_map], [[defect_of(mask, 4)]], (0.1, 0.3, 1.0))
    assert found[0.1] == pytest.approx(0.5)
    assert found[0.3] == pytest.approx((0.1 * 0.5 + 0.2 * 1) / 0.3)
    assert found[1.0] == pytest.approx(0.05 + 0.9)


def test_ties_across_the_saturation_area():
    # All five pixels of the defect have one score, and two of them saturate it: one step from 0 to 1.
    mask = np.zeros((2, 5), bool)
    mask[0] = True
    anomaly_map = np.where(mask, 1.0, np.array([[2.0], [2.0]]))
    anomaly_map[1, 3:] = 0
    found = au_spro([anomaly_map], [[defect_of(mask, 2)]], (0.6, 1.0))
    assert found == {0.6: pytest.approx(0.0), 1.0: pytest.approx(0.4)}


def test_a_pixel_of_two_defects_counts_for_both_and_is_no_false_alarm():
    first, second = np.zeros((2, 3, 4), bool)
    first[0], second[0, 2:], second[1, 2:] = True, True, True
    anomaly_map = np.zeros((3, 4))
    anomaly_map[0, 2:] = 1
    # Found without any false alarm: half of each.
    assert au_spro([anomaly_map], [[defect_of(first), defect_of(second)]], (0.5,))[0.5] == pytest.approx(
        0.5 + 0.5 * 0.5 / 2
    )


def test_with_whole_areas_it_is_the_per_region_overlap():
    mask = np.zeros((20, 30), bool)
    mask[2:5, 3:9], mask[10:18, 12:14] = True, True
    one, other = mask.copy(), mask.copy()
    one[8:], other[:8] = False, False
    anomaly_map = np.random.default_rng(0).random((20, 30)) + 0.3 * mask
    for limit in FPR_LIMITS:
        found = au_spro([anomaly_map], [[defect_of(one), defect_of(other)]], (limit,))
        assert found[limit] == pytest.approx(aupro([anomaly_map], [mask], limit), abs=1e-12)


def test_a_smaller_saturation_area_is_never_worse():
    maps, masks, areas = random_case(9, 1000)
    values = [
        au_spro(maps, defects_of(masks, [[max(1, int(share * a)) for a in some] for some in areas]), (0.3,))[0.3]
        for share in (1.0, 0.6, 0.3, 0.1)
    ]
    assert values == sorted(values)
    assert values[0] < values[-1]


def loco_run(seed):
    """Maps, labels, masks and defects of a run with two logical, two structural and two good images."""
    parts = {kind: random_case(seed + k, 10_000) for k, kind in enumerate(("logical", "structural"))}
    maps, labels, masks, defects = {}, {}, {}, {}
    for kind, (found, single, areas) in parts.items():
        for index in (0, 1, 3):
            name = f"test/{f'{kind}_anomalies' if single[index] else 'good'}/{kind[0]}{index}"
            maps[name], labels[name] = found[index], int(bool(single[index]))
            if single[index]:
                masks[name] = np.any(single[index], axis=0)
                defects[name] = [defect_of(m, a) for m, a in zip(single[index], areas[index], strict=True)]
    return maps, labels, masks, defects


@pytest.mark.parametrize("seed", [0, 20])
def test_types_apart_each_with_all_good_images_and_averaged(seed):
    maps, labels, masks, defects = loco_run(seed)
    metrics, _ = evaluate_maps(maps.items(), labels, masks, defects=defects)
    for limit in FPR_LIMITS:
        values = []
        for kind in ("logical", "structural"):
            names = [name for name in maps if kind in name or "good" in name]
            single = [
                [np.isin(np.arange(maps[n].size), d.pixels).reshape(d.shape) for d in defects.get(n, [])] for n in names
            ]
            areas = [[d.saturation_area for d in defects.get(n, [])] for n in names]
            values.append(slow_au_spro([maps[n] for n in names], single, areas, limit))
            assert metrics[f"au_spro_{limit}_{kind}"] == pytest.approx(values[-1], abs=1e-9)
        assert metrics[f"au_spro_{limit}"] == pytest.approx(np.mean(values), abs=1e-9)


def test_other_pixel_metrics_do_not_change():
    maps, labels, masks, defects = loco_run(3)
    plain, histograms = evaluate_maps(maps.items(), labels, masks)
    metrics, same = evaluate_maps(maps.items(), labels, masks, defects=defects)
    assert list(plain) == ["pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro"]
    assert {name: metrics[name] for name in plain} == plain
    assert len(metrics) == 4 + 3 * len(FPR_LIMITS)
    np.testing.assert_array_equal(same.negatives, histograms.negatives)


def test_without_one_of_the_types_there_is_no_spro():
    maps, labels, masks, defects = loco_run(3)
    kept = {name: found for name, found in defects.items() if "logical" not in name}
    assert not any(name.startswith("au_spro") for name in evaluate_maps(maps.items(), labels, masks, defects=kept)[0])


def test_bad_input():
    blank, mask = np.zeros((3, 4)), np.eye(3, 4, dtype=bool)
    with pytest.raises(UserError, match=r"0: expected defects of the map's size \(4, 3\), found \(3, 4\)"):
        au_spro([blank.T], [[defect_of(mask)]])
    with pytest.raises(ValueError, match="expected defects, found none"):
        au_spro([blank], [[]])
    with pytest.raises(ValueError, match="found 12 and 0"):
        au_spro([blank], [[defect_of(np.ones((3, 4), bool))]])
    with pytest.raises(ValueError, match="finite"):
        au_spro([np.full((3, 4), np.nan)], [[defect_of(mask)]])
    with pytest.raises(ValueError, match=r"limit .* found 0\."):
        au_spro([blank], [[defect_of(mask)]], (0,))


LARGE = """
import time
import numpy as np
from variad.datasets.masks import defect_of
from variad.evaluation.pixel import evaluate_maps
count, side = int(sys.argv[1]), 1000
rng = np.random.default_rng(0)
mask = np.zeros((side, side), bool)
mask[100:250, 200:350] = True
kinds = ["good", "logical_anomalies", "structural_anomalies"]
names = [f"test/{kinds[k % 3]}/{k}" for k in range(count)]
labels = {name: int("good" not in name) for name in names}
masks = {name: mask for name in names if labels[name]}
defects = {name: [defect_of(mask, 5000)] for name in masks}
noise = rng.random((side, side), dtype=np.float32)
started = time.process_time()
evaluate_maps(((name, np.roll(noise, k, axis=0)) for k, name in enumerate(names)), labels, masks, defects=defects)
result = time.process_time() - started
"""


@pytest.mark.slow
def test_memory_is_that_of_the_pixels():
    _, few = measured(LARGE, 6)
    _, many = measured(LARGE, 106)
    gib = 100 * 1000**2 * 4 / 2**30
    assert many - few < 1.7 * gib
