"""Logical and structural anomalies of MVTec LOCO AD, looked at apart: each against all good images.

Both types are told from ``image_id``, so that what follows applies to any data set with folders of these names.
"""

import pandas as pd

from variad.metrics.image import auroc

TYPES = {"logical": "logical_anomalies", "structural": "structural_anomalies"}
GOOD = "good"


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
