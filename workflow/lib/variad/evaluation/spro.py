"""Logical and structural anomalies of MVTec LOCO AD, looked at apart, each against all good images: AUROC and AU-sPRO.

Both types are told from ``image_id``, so that this applies to any data set with folders of these names.

AU-sPRO is the area under the saturated per-region overlap against the false positive rate, exact. A defect's overlap at
a threshold is the number of its pixels above it, over its saturation area, at most 1. So only the highest map values
inside a defect matter, as many as its saturation area has pixels, and each adds the same. A pixel that lies in no
defect of its image is a negative. Source: Bergmann et al., "Beyond Dents and Scratches", IJCV 2022. The evaluator that
comes with the data set samples thresholds until its curve has no gap above 0.01; here every map value is a threshold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variad.core.errors import UserError
from variad.datasets.masks import Defect
from variad.evaluation.ranking import auroc, overlap_curve, rank_parts

Array = NDArray[Any]

TYPES = {"logical": "logical_anomalies", "structural": "structural_anomalies"}
GOOD = "good"
FPR_LIMITS = (0.01, 0.05, 0.1, 0.3, 1.0)  # those of the evaluator


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
    curve = overlap_curve(ranking)
    return {limit: curve.area(limit) for limit in limits}
