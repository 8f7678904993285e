"""Histograms of anomaly map pixels, kept so that pixel AUROC can be recomputed for resampled test images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from variad.errors import UserError
from variad.files import writing


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


def write_pixel_histograms(path: str | Path, runs: Mapping[int, PixelHistograms]) -> None:
    """Write ``/run_{r}/{image_id, edges, positives, negatives}``; without pixel metrics the file has no group."""
    with writing(path) as temporary, h5py.File(temporary, "w") as file:
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
            runs = {int(name.removeprefix("run_")): _read_run(group) for name, group in file.items()}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: expected pixel histograms by run, found: {error}.") from error
    return dict(sorted(runs.items()))


def _read_run(group: Any) -> PixelHistograms:
    return PixelHistograms(
        tuple(group["image_id"].asstr()[:]),
        group["edges"][:],
        group["positives"][:].astype(np.int64),
        group["negatives"][:].astype(np.int64),
    )
