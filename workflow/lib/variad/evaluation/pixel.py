"""Pixel metrics of anomaly maps, all pixels of all images pooled and compared exactly, in float32.

Masks may be boolean or 0 and 255; maps may differ in size. Memory: that of the pooled pixels in float32, and some for
each pixel inside a mask. Histograms of each image's pixels are kept, so that pixel AUROC can be recomputed for
resampled test images.

Logical and structural anomalies, as MVTec LOCO AD has them, are looked at apart, each against all good images: AUROC
and AU-sPRO. Both types are told from ``image_id``, so that this applies to any data set with folders of these names.

AU-sPRO is the area under the saturated per-region overlap against the false positive rate, exact. A defect's overlap at
a threshold is the number of its pixels above it, over its saturation area, at most 1. So only the highest map values
inside a defect matter, as many as its saturation area has pixels, and each adds the same. A pixel that lies in no
defect of its image is a negative. Source: Bergmann et al., "Beyond Dents and Scratches", IJCV 2022. The evaluator that
comes with the data set samples thresholds until its curve has no gap above 0.01; here every map value is a threshold.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.shortages import new_hdf5
from variad.datasets.masks import Defect
from variad.evaluation.ranking import METRICS, Ranking, at_ranks, auroc, overlap_areas, rank_parts

Array = NDArray[Any]

BINS = 1024
FPR_LIMIT = 0.3  # the limit of MVTec's evaluator
_NEIGHBOURS = np.ones((3, 3), dtype=int)  # defects that touch at a corner are one region, as in MVTec's evaluator

TYPES = {"logical": "logical_anomalies", "structural": "structural_anomalies"}
GOOD = "good"
FPR_LIMITS = (0.01, 0.05, 0.1, 0.3, 1.0)  # of AU-sPRO, those of its evaluator

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PixelHistograms:
    """How many pixels of each image fall between which map values, in one run.

    Attributes:
        image_id: I images.
        edges: ``[E]`` ascending map values; bin b holds ``edges[b - 1] <= value < edges[b]``, so there are E + 1 bins.
        positives: ``[I, E + 1]`` pixels inside the mask.
        negatives: ``[I, E + 1]`` pixels outside the mask.
    """

    image_id: tuple[str, ...]
    edges: NDArray[np.float32]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]


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
    if not any(part.size for part in pool.positives) or not any(part.size for part in pool.negatives):
        return {}, None
    pixels, regions = pool.rankings()
    found = {f"pixel_{name}": float(metric(pixels)) for name, metric in METRICS.items()}
    found |= {"aupro": overlap_areas(regions, [FPR_LIMIT])[FPR_LIMIT]}
    return found | overlap.metrics(dict(zip(pool.image_id, pool.negatives, strict=True))), pool.histograms(bins)


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


@dataclass
class PixelPool:
    """Pixels of the images seen so far, one entry an image.

    Attributes:
        positives: map values inside the mask, ascending.
        negatives: map values outside the mask, ascending.
        shares: for each value of ``positives``, one over the area of its connected region.
    """

    image_id: list[str] = field(default_factory=list)
    positives: list[Array] = field(default_factory=list)
    negatives: list[Array] = field(default_factory=list)
    shares: list[Array] = field(default_factory=list)

    def add(self, image_id: str, anomaly_map: Array, mask: Array) -> None:
        """Add an image, ``[height, width]`` both.

        Raises:
            UserError: the shapes differ.
        """
        if anomaly_map.ndim != 2 or anomaly_map.shape != mask.shape:
            raise UserError(f"{image_id}: expected a mask of the map's size {anomaly_map.shape}, found {mask.shape}.")
        from scipy import ndimage  # a data set without masks does without: loading it takes longer than scoring

        inside, values = mask > 0, np.asarray(anomaly_map, dtype=np.float32)
        region = ndimage.label(inside, structure=_NEIGHBOURS)[0][inside]
        order = np.argsort(values[inside], kind="stable")
        self.image_id.append(image_id)
        self.positives.append(values[inside][order])
        self.negatives.append(np.sort(values[~inside]))
        self.shares.append((1 / np.bincount(region)[region])[order] if region.size else np.zeros(0))

    def rankings(self) -> tuple[Ranking, Ranking]:
        """Pixels ranked with equal weight, and with the same total weight for each connected region."""
        weightings = [None, np.concatenate(self.shares)]
        pixels, regions = rank_parts(np.concatenate(self.positives), self.negatives, weightings)
        return pixels, regions

    def histograms(self, bins: int = BINS) -> PixelHistograms:
        """Histogram of each image between quantiles of all pixels."""
        parts = self.positives + self.negatives
        # values as they are: interpolated quantiles would depend on the precision
        edges = np.unique(at_ranks(parts, np.arange(1, bins) * sum(part.size for part in parts) // bins))
        return PixelHistograms(
            tuple(self.image_id),
            edges,
            np.stack([_histogram(values, edges) for values in self.positives]),
            np.stack([_histogram(values, edges) for values in self.negatives]),
        )


def _histogram(ascending: Array, edges: Array) -> NDArray[np.int64]:
    """How many of the values ``[n]`` lie below the first edge, between each two, and from the last on, ``[E + 1]``."""
    below = np.searchsorted(ascending, edges, side="left")
    return np.diff(below, prepend=0, append=ascending.size).astype(np.int64)


def write_pixel_histograms(path: str | Path, runs: Mapping[int, PixelHistograms]) -> None:
    """Write ``/run_{r}/{image_id, edges, positives, negatives}``; without pixel metrics the file has no group."""
    with writing(path) as temporary, new_hdf5(temporary) as file:
        for run, histograms in sorted(runs.items()):
            group = file.create_group(f"run_{run}")
            group.create_dataset("image_id", data=list(histograms.image_id), dtype=h5py.string_dtype())
            group.create_dataset("edges", data=histograms.edges, dtype=np.float32)
            for name in ("positives", "negatives"):
                counts = getattr(histograms, name)
                group.create_dataset(name, data=counts, dtype=np.uint32, compression="gzip", shuffle=True)


def read_pixel_histograms(path: str | Path) -> dict[int, PixelHistograms]:
    """Read what ``write_pixel_histograms`` wrote, by run.

    Raises:
        UserError: the file is missing or is no such file.
    """
    try:
        with h5py.File(path) as file:
            runs = {
                int(name.removeprefix("run_")): PixelHistograms(
                    tuple(group["image_id"].asstr()[:]),
                    group["edges"][:],
                    group["positives"][:].astype(np.int64),
                    group["negatives"][:].astype(np.int64),
                )
                for name, group in file.items()
            }
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: expected pixel histograms by run, found: {error}.") from error
    return dict(sorted(runs.items()))


def anomaly_type(image_id: str) -> str:
    """The middle part of an image_id ``{split}/{defect}/{stem}``; empty where there is none."""
    parts = image_id.split("/")
    return parts[1] if len(parts) == 3 else ""


def image_auroc_by_type(scores: pd.DataFrame) -> dict[str, float]:
    """Image AUROC of each type and the mean of both, 0 to 1; nothing unless there are good images and both types.

    The mean is not the AUROC of all images: in that one the type with more images weighs more.

    Args:
        scores: of one run, schema ``scores``.
    """
    types = scores["image_id"].map(anomaly_type)
    if not {GOOD, *TYPES.values()} <= set(types):
        return {}
    found = {}
    for name, folder in TYPES.items():
        part = scores[types.isin([GOOD, folder])]
        found[f"image_auroc_{name}"] = auroc(part["score"], part["label"])
    return {**found, "image_auroc_type_mean": sum(found.values()) / len(found)}


@dataclass
class SaturatedOverlap:
    """What the maps of a run seen so far hold inside defects, by type of anomaly.

    Attributes:
        highest: for each defect of a type, the highest map values in it, as many as its saturation area.
    """

    highest: dict[str, list[Array]] = field(default_factory=dict)

    def add(self, image_id: str, anomaly_map: Array, defects: Sequence[Defect]) -> None:
        """Add the defects of one image, whose map is ``[height, width]``.

        Raises:
            UserError: a defect is of an image of another size.
        """
        found = self.highest.setdefault(anomaly_type(image_id), [])
        found += [highest_values(image_id, anomaly_map, defect) for defect in defects]

    def metrics(self, negatives: Mapping[str, Array], limits: Sequence[float] = FPR_LIMITS) -> dict[str, float]:
        """``au_spro_{limit}_logical``, ``_structural``, and their mean ``au_spro_{limit}``, 0 to 1.

        Nothing unless there are defects of both types.

        Args:
            negatives: of each image_id, the map values outside all defects, ascending.
        """
        if not all(self.highest.get(folder) for folder in TYPES.values()):
            return {}
        areas = {}
        for name, folder in TYPES.items():
            parts = [values for image_id, values in negatives.items() if anomaly_type(image_id) in (GOOD, folder)]
            areas[name] = saturated_areas(self.highest[folder], parts, limits)
        found: dict[str, float] = {}
        for limit in limits:
            found |= {f"au_spro_{limit}_{name}": area[limit] for name, area in areas.items()}
            found[f"au_spro_{limit}"] = sum(area[limit] for area in areas.values()) / len(areas)
        return found


def highest_values(image_id: str, anomaly_map: Array, defect: Defect) -> Array:
    """The highest map values inside a defect, float32 ``[saturation area]``, in no order.

    Raises:
        UserError: the defect is of an image of another size.
    """
    if anomaly_map.shape != defect.shape:
        raise UserError(f"{image_id}: expected defects of the map's size {anomaly_map.shape}, found {defect.shape}.")
    values = np.asarray(anomaly_map, np.float32).ravel()[defect.pixels]
    lower = values.size - defect.saturation_area
    return np.partition(values, lower)[lower:]


def saturated_areas(
    highest: Sequence[Array], negatives: Sequence[Array], limits: Sequence[float]
) -> dict[float, float]:
    """AU-sPRO of one type of anomaly by limit of the false positive rate, 0 to 1.

    Args:
        highest: of each defect, as ``highest_values`` has them.
        negatives: of each anomalous and each good image, the map values outside all defects, ascending.

    Raises:
        ValueError: there is no defect or no pixel outside them, a value is not finite, or a limit is not in (0, 1].
    """
    if not highest:
        raise ValueError("expected defects, found none.")
    shares = np.concatenate([np.full(values.size, 1 / values.size) for values in highest])
    (ranking,) = rank_parts(np.concatenate(highest), negatives, [shares])
    return overlap_areas(ranking, limits)
