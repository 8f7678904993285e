"""Pixel metrics of anomaly maps, all pixels of all images pooled and compared exactly, in float32.

Masks may be boolean or 0 and 255. Maps may differ in size. Memory: that of the pooled pixels in float32, and some for
each pixel inside a mask.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variad.defects import Defect
from variad.metrics.overlap import overlap_curve
from variad.metrics.pixel_pool import BINS, PixelPool, histogram, split_by_mask
from variad.metrics.pixel_records import PixelHistograms
from variad.metrics.ranking import Ranking
from variad.metrics.spro import SaturatedOverlap

Array = NDArray[Any]

FPR_LIMIT = 0.3  # the limit of MVTec's evaluator

_log = logging.getLogger(__name__)


def evaluate_maps(
    maps: Iterable[tuple[str, Array]],
    labels: Mapping[str, int],
    masks: Mapping[str, Array],
    bins: int = BINS,
    defects: Mapping[str, Sequence[Defect]] | None = None,
) -> tuple[dict[str, float], PixelHistograms | None]:
    """Pixel metrics of one run and the histograms that their bootstrap needs; maps are taken one at a time.

    Args:
        maps: (image_id, anomaly map ``[height, width]``) of each test image.
        labels: 0 or 1 of each image_id.
        masks: mask of an image_id, at its map's size. A normal image without one counts as free of defects; an
            anomalous image without one is left out, which the log counts.
        defects: of an image_id, where the data set saturates its defects one by one; their union is its mask.

    Returns:
        ``pixel_auroc, pixel_ap, pixel_f1_max, aupro``, and with ``defects`` those of ``SaturatedOverlap``, each 0 to 1;
        both are empty when no anomalous image has a mask.

    Raises:
        UserError: a mask and its map differ in size.

    Source of ``aupro``, the area under the per-region overlap up to ``FPR_LIMIT``, divided by that: Bergmann et al.,
    "The MVTec Anomaly Detection Dataset", IJCV 2021, section on metrics.
    """
    pool, overlap, without_mask = PixelPool(), SaturatedOverlap(), 0
    usable = any(label == 1 and image_id in masks for image_id, label in labels.items())
    for image_id, anomaly_map in maps:
        if labels[image_id] == 1 and image_id not in masks:
            without_mask += 1
        elif usable:
            mask = np.asarray(masks[image_id]) if image_id in masks else np.zeros(anomaly_map.shape, dtype=bool)
            pool.add(image_id, anomaly_map, mask)
            overlap.add(image_id, anomaly_map, (defects or {}).get(image_id, []))
    if without_mask:
        _log.info("%d anomalous images have no mask and do not enter pixel metrics", without_mask)
    if not usable or not pool.has_both_classes():
        return {}, None
    saturated = overlap.metrics(dict(zip(pool.image_id, pool.negatives, strict=True)))
    return _metrics(*pool.rankings()) | saturated, pool.histograms(bins)


def pixel_auroc(maps: Sequence[Array], masks: Sequence[Array]) -> float:
    """Area under the ROC curve of all pixels; maps and masks are lists of ``[height, width]``.

    Raises:
        ValueError: there is no pixel inside or none outside the masks, or a map is not finite.
        UserError: a mask and its map differ in size.
    """
    pool = PixelPool()
    for index, (anomaly_map, mask) in enumerate(zip(maps, masks, strict=True)):
        pool.add(str(index), anomaly_map, mask)
    return float(pool.rankings()[0].auroc())


def pixel_histograms(anomaly_map: Array, mask: Array, edges: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of one image inside and outside its mask, by bin: ``[E + 1]`` each for edges ``[E]``."""
    inside, values = split_by_mask("map", anomaly_map, mask)
    return histogram(np.sort(values[inside]), edges), histogram(np.sort(values[~inside]), edges)


def _metrics(pixels: Ranking, regions: Ranking) -> dict[str, float]:
    return {
        "pixel_auroc": float(pixels.auroc()),
        "pixel_ap": float(pixels.average_precision()),
        "pixel_f1_max": float(pixels.f1_max()),
        "aupro": overlap_curve(regions).area(FPR_LIMIT),
    }
