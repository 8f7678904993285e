"""Figures 11, 13 and 14: anomaly maps of the shots alone beside those with added images, of which image, how scaled."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from variad.errors import UserError
from variad.report.anomaly_maps import first_kept_run, map_path, read_map
from variad.report.colour_map import colour_scale
from variad.report.heatmaps import TILE

Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScoredCell:
    """A cell with its table ``scores`` and its folder of maps."""

    key: Mapping[str, str]
    scores: pd.DataFrame
    maps: Path


def median_anomaly(scores: pd.DataFrame) -> str | None:
    """The anomalous image with the median score of one run, the lower of two; None where there is none.

    Args:
        scores: rows of table ``scores`` of a single run. Ties are broken by image_id.
    """
    anomalous = scores[scores["label"] == 1].sort_values(["score", "image_id"])
    return str(anomalous["image_id"].iloc[(len(anomalous) - 1) // 2]) if len(anomalous) else None


def map_pair(baseline: ScoredCell, other: ScoredCell) -> tuple[pd.DataFrame, list[Map]]:
    """Two rows of schema ``map_panels`` and their maps ``[TILE, TILE]``; nothing without an anomalous test image.

    The image is chosen by the baseline's scores in the first run whose maps were kept.

    Raises:
        UserError: the maps of no run were kept.
    """
    run = first_kept_run(baseline.maps)
    if run is None:
        raise UserError(f"{baseline.maps}: expected the maps of a run, found none; name one in study.keep_map_runs.")
    image_id = median_anomaly(baseline.scores[baseline.scores["run"] == run])
    if image_id is None:
        return pd.DataFrame(), []
    cells = (baseline, other)
    maps = [read_map(map_path(cell.maps, run, cell.key["category"], image_id), TILE) for cell in cells]
    low, high = colour_scale(maps)
    about = {"run": run, "image_id": image_id, "defect": image_id.split("/")[1], "scale_low": low, "scale_high": high}
    rows = [{**cell.key, **about, "score": _score(cell.scores, run, image_id)} for cell in cells]
    return pd.DataFrame(rows), maps


def _score(scores: pd.DataFrame, run: int, image_id: str) -> float:
    found: Any = scores[(scores["run"] == run) & (scores["image_id"] == image_id)]["score"]
    return float(found.iloc[0])
