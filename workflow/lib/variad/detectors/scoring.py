"""Scoring images of a category with one fitted detector: scores, pixel metrics, and the maps that are kept."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from PIL import Image

from variad.core.files import writing
from variad.core.records import read_images
from variad.datasets.masks import Defect
from variad.detectors.anomaly_map import MapSize, full_size_map
from variad.detectors.interface import Detector, DetectorInput, Scored
from variad.detectors.training import Features, real_features
from variad.evaluation.pixel import PixelHistograms, evaluate_maps

AnomalyMap = NDArray[np.float32]
Masks = Mapping[str, NDArray[np.bool_]]
Defects = Mapping[str, Sequence[Defect]]
_BATCH = 32  # images


@dataclass(frozen=True)
class TestSet:
    """Images to be scored: their rows of the manifest, and where their pixels and features lie.

    Attributes:
        layers: of the detector's extractor; resolution, crop: how it prepares images, pixels.
    """

    __test__ = False  # not a pytest class

    rows: pd.DataFrame
    images: str | Path
    features: Features
    layers: Sequence[str]
    resolution: int
    crop: int | None

    @property
    def image_ids(self) -> list[str]:
        """Names of the images, in the manifest's order."""
        return list(self.rows["image_id"])


def score_images(detector: Detector, test: TestSet) -> Scored:
    """Score every image, in batches of features; only scores and patch maps stay in memory."""
    names = test.image_ids
    parts = []
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        images = read_images(test.images, batch) if detector.uses_images else None
        parts.append(detector.score(DetectorInput(real_features(test.features, test.layers, batch), images)))
    return joined(parts)


def joined(parts: Sequence[Scored]) -> Scored:
    """Scores and maps of several sets of images, one after another."""
    if not parts:
        return Scored(np.empty(0, np.float32), np.empty((0, 1, 1), np.float32))
    return Scored(np.concatenate([part.scores for part in parts]), np.concatenate([part.maps for part in parts]))


def full_size_maps(
    scored: Scored, test: TestSet, sigma: float, device: str = "cpu"
) -> Iterator[tuple[str, AnomalyMap]]:
    """(image_id, anomaly map at the image's own size), one at a time, float32; ``sigma`` as in ``MapSize``."""
    rows = zip(test.image_ids, test.rows["height"], test.rows["width"], scored.maps, strict=True)
    for name, height, width, patch_map in rows:
        size = MapSize(int(height), int(width), test.resolution, test.crop, sigma)
        yield name, full_size_map(patch_map, size, device)


def score_run(
    detector: Detector,
    test: TestSet,
    masks: Masks,
    kept: Path | None,
    defects: Defects | None = None,
    device: str = "cpu",
    kept_side: int | None = None,
) -> tuple[NDArray[np.float32], dict[str, float], PixelHistograms | None]:
    """Image scores, pixel metrics (none without masks) and their histograms; maps go to the folder ``kept``.

    With ``defects``, the single ones of each image, the pixel metrics hold AU-sPRO too. Metrics are of maps of full
    size, whatever ``kept_side``, the size of maps on disk, is.
    """
    scored = score_images(detector, test)
    if not masks and kept is None:
        return scored.scores, {}, None
    maps = full_size_maps(scored, test, detector.map_sigma, device)
    if kept is not None:
        maps = _keeping(maps, kept, kept_side)
    if not masks:
        deque(maps, maxlen=0)  # only to keep them
        return scored.scores, {}, None
    labels = dict(zip(test.image_ids, test.rows["label"].astype(int), strict=True))
    return scored.scores, *evaluate_maps(maps, labels, masks, defects=defects)


def _keeping(
    maps: Iterator[tuple[str, AnomalyMap]], folder: Path, side: int | None
) -> Iterator[tuple[str, AnomalyMap]]:
    for name, anomaly_map in maps:
        write_map(folder / f"{name}.tiff", anomaly_map, side)
        yield name, anomaly_map


def write_map(path: str | Path, anomaly_map: AnomalyMap, side: int | None = None) -> None:
    """Write one map as a float32 TIFF; of full size the evaluator of MVTec AD reads it.

    Not compressed: it would save a sixth of the space and take ten times as long.

    Args:
        side: the longer side of the map on disk, pixels, whose values are means of those that fall together; None is
            the map as it is, as is one that is no longer.
    """
    if side is not None and max(anomaly_map.shape) > side:
        height, width = (max(1, round(length * side / max(anomaly_map.shape))) for length in anomaly_map.shape)
        small = Image.fromarray(anomaly_map.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
        anomaly_map = np.asarray(small)
    kept = BytesIO()  # into a file numpy would write, which says nothing of why a disk took less
    tifffile.imwrite(kept, anomaly_map.astype(np.float32))
    with writing(path) as temporary:
        temporary.write_bytes(kept.getbuffer())


def score_table(test: TestSet, scores: Mapping[int, NDArray[np.float32]]) -> pd.DataFrame:
    """Table ``scores`` of all runs."""
    labels = test.rows["label"].to_numpy()
    parts = [
        pd.DataFrame({"run": run, "image_id": test.image_ids, "label": labels, "score": values})
        for run, values in scores.items()
    ]
    return pd.concat(parts, ignore_index=True)


def pixel_metrics_table(metrics: Mapping[int, Mapping[str, float]]) -> pd.DataFrame:
    """Pixel metrics of all runs, columns ``run, metric, value``; no rows where there is no mask."""
    rows = [(run, name, value) for run, values in metrics.items() for name, value in values.items()]
    return pd.DataFrame(rows, columns=["run", "metric", "value"])
