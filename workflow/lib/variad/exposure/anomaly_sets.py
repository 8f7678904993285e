"""What a network is exposed to in one run: anomalies of a source, and normals as its generator renders them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from variad.anomalies.anomaly_file import read_anomalies, read_manifest, read_normals
from variad.errors import UserError
from variad.records import Images
from variad.selection.synthetic import SourceFiles


@dataclass(frozen=True)
class AnomalySet:
    """The anomalies of one source and run.

    Attributes:
        images: uint8 ``[N, S, S, 3]``.
        strengths: 0 to 1, ``[N]``.
        normals: support images that went through the source's generator, uint8 ``[M, S, S, 3]``; none for sources that
            change originals.
    """

    images: Images
    strengths: NDArray[np.float64]
    normals: Images


def read_anomaly_set(files: SourceFiles, run: int, support: Sequence[str]) -> AnomalySet:
    """The anomalies of a run, with the regenerated ones of its ``support`` images.

    Raises:
        UserError: the source has no anomalies of that run.
    """
    manifest = read_manifest(files.manifest)
    rows = manifest[manifest["run"] == run]
    if rows.empty:
        raise UserError(f"{files.manifest}: expected anomalies of run {run}, found none.")
    images = read_anomalies(files.images, rows)
    return AnomalySet(images, rows["strength"].to_numpy(np.float64), _regenerated(files.images, support, images))


def _regenerated(path: str | Path, support: Sequence[str], like: Images) -> Images:
    controls = read_normals(path)
    names = [] if controls is None else list(controls.image_ids)
    if controls is None or not set(names) & set(support):
        return np.empty((0, *like.shape[1:]), np.uint8)
    return controls.images[[names.index(name) for name in support if name in names]]
