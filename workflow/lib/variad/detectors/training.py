"""What a detector trains on: the shots of a run and its accepted added images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from variad.core.images import FeatureMaps, Tiles
from variad.core.records import image_side, read_features, read_image_ids, read_images
from variad.detectors.interface import DetectorInput, Extractor
from variad.generation.added import read_added, read_parents, read_shown, read_usage
from variad.networks.on_demand import FeaturesOnDemand

Features = str | Path | FeaturesOnDemand  # of real images, in a file or on demand


@dataclass(frozen=True)
class CellFiles:
    """Where the inputs of one cell lie.

    Attributes:
        features: of the real images.
        added_features: features of rows of ``/images`` of ``added`` (``variad.networks.on_demand.FeaturesOnDemand``).
    """

    images: str | Path
    features: Features
    added: str | Path
    added_features: Callable[[Sequence[int]], FeatureMaps]
    layers: Sequence[str]


def extractor_of(entry: dict[str, Any], images: str | Path) -> Extractor:
    """The extractor of a config entry, for the images of a file: without a resolution of its own it takes theirs."""
    return as_extractor(entry, image_side(images))


def as_extractor(entry: Mapping[str, Any], side: int) -> Extractor:
    """The extractor of a config entry, for images of so many pixels a side."""
    tiles = Tiles(**entry["tiles"]) if entry.get("tiles") else None
    resolution = entry["resolution"] or side
    return Extractor(entry["backbone"], tuple(entry["layers"]), entry["weights"], resolution, entry["crop"], tiles)


def training_input(files: CellFiles, run: int, shots: Sequence[str], with_images: bool) -> DetectorInput:
    """Shots first, then the accepted added images of the run."""
    rows = accepted_rows(files, run)
    parts = [real_features(files.features, files.layers, shots)]
    if len(rows):
        parts.append(files.added_features([int(row) for row in read_shown(files.added, rows)]))
    images = None
    if with_images:
        images = np.concatenate([read_images(files.images, shots), read_added(files.added).pictures(rows)])
    return DetectorInput(concatenated(parts), images)


def accepted_rows(files: CellFiles, run: int) -> list[int]:
    """Rows of ``added.h5`` that belong to a run and were accepted."""
    runs, accepted = read_usage(files.added)
    return [int(row) for row in np.flatnonzero((runs == run) & accepted)]


def parents_of(files: CellFiles, run: int, shots: Sequence[str]) -> list[str]:
    """The photograph, by image_id, that each image of ``training_input`` is or was made from."""
    parent = read_parents(files.added)
    return [*shots, *(parent[row] for row in accepted_rows(files, run))]


def candidates_of(files: CellFiles, run: int) -> set[str]:
    """Every photograph that was looked at for the training set of a run, accepted or not, by image_id."""
    runs, _ = read_usage(files.added)
    return {name for name, of_run in zip(read_parents(files.added), runs, strict=True) if of_run == run}


def kept_or_on_demand(
    kept: str | Path | None, images: str | Path, entry: Mapping[str, Any], layers: Sequence[str], device: str
) -> Features:
    """The file of features of real images, where the extractor of the config ``entry`` keeps them; else on demand."""
    return kept or FeaturesOnDemand.of(images, entry, layers, device)


def real_features(features: Features, layers: Sequence[str], image_ids: Sequence[str]) -> FeatureMaps:
    """Features of real images by image_id, in the order asked for."""
    named_in = features.images if isinstance(features, FeaturesOnDemand) else features
    row = {name: index for index, name in enumerate(read_image_ids(named_in))}
    rows = [row[name] for name in image_ids]
    return features(rows) if isinstance(features, FeaturesOnDemand) else read_features(features, layers, rows)


def concatenated(parts: Sequence[FeatureMaps]) -> FeatureMaps:
    """Feature maps of several sets of images, one after another."""
    return {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}
