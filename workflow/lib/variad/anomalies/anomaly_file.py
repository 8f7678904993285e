"""One format for the anomalies of every source: ``anomalies.h5`` and ``manifest.csv`` (``docs/data_contracts.md``)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from variad.core.errors import UserError
from variad.core.files import writing
from variad.core.images import Images, read_image, resize_square, to_rgb8
from variad.core.shortages import new_hdf5
from variad.core.tables import read_table, write_table

SCHEMA = "anomalies"


@dataclass(frozen=True)
class Anomaly:
    """One synthetic anomaly.

    Attributes:
        image: uint8 RGB ``[S, S, 3]``.
        parent_a: image_id that it was made from (of a mix, the style), or empty.
        parent_b: image_id of the content, or the name of a donor, or empty.
        strength: 0 (as the parent) to 1; 1 where a source has no degrees.
        parameters: what was drawn for this image; goes into the manifest as JSON.
    """

    image: Images
    parent_a: str
    parent_b: str = ""
    strength: float = 1.0
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NamedImages:
    """Images uint8 RGB ``[M, S, S, 3]`` with their image_ids."""

    image_ids: Sequence[str]
    images: Images


@dataclass(frozen=True)
class Strengths:
    """Rows of growing strength for the contact sheet.

    Attributes:
        images: uint8 RGB ``[P, K, S, S, 3]``, a row a parent.
        strength: of each column, ``[K]``.
        label: of each row, ``[P]``.
    """

    images: Images
    strength: Sequence[float]
    label: Sequence[str]


def write_anomalies(
    images: str | Path,
    manifest: str | Path,
    source: str,
    runs: Mapping[int, Sequence[Anomaly]],
    normals: NamedImages | None = None,
    strengths: Strengths | None = None,
) -> None:
    """Write the anomalies of all runs.

    Args:
        images, manifest: the two files.
        source: name of the source in the config.
        normals: the normal images that the anomalies are to be compared with; None: the originals.
    """
    made = [(run, number, anomaly) for run in sorted(runs) for number, anomaly in enumerate(runs[run])]
    with writing(images) as temporary, new_hdf5(temporary) as file:
        stack = np.stack([anomaly.image for *_, anomaly in made])
        file.create_dataset("images", data=stack, chunks=(1, *stack.shape[1:]))
        if normals is not None:
            file.create_dataset("normals", data=normals.images, chunks=(1, *normals.images.shape[1:]))
            file.create_dataset("normal_id", data=list(normals.image_ids), dtype=h5py.string_dtype())
        if strengths is not None:
            file["strengths/images"] = strengths.images
            file["strengths/strength"] = np.asarray(strengths.strength, np.float64)
            file.create_dataset("strengths/label", data=list(strengths.label), dtype=h5py.string_dtype())
    rows = [
        {
            "anomaly_id": f"{source}/{run}/{number:03}",
            "run": run,
            "source": source,
            "position": position,
            "path": "",
            "parent_a": anomaly.parent_a,
            "parent_b": anomaly.parent_b,
            "strength": anomaly.strength,
            "parameters": json.dumps(anomaly.parameters, sort_keys=True),
        }
        for position, (run, number, anomaly) in enumerate(made)
    ]
    write_table(manifest, pd.DataFrame(rows), SCHEMA)


def read_manifest(path: str | Path) -> pd.DataFrame:
    """The manifest of a source, checked.

    Raises:
        UserError: it breaks its schema, or an anomaly has neither or both of position and path.
    """
    table = read_table(path, SCHEMA)
    unclear = table[table["position"].isna() == (table["path"] == "")]
    if len(unclear):
        name = unclear["anomaly_id"].iloc[0]
        raise UserError(f"{path}: expected either position or path of {name}, found neither or both.")
    return table


def read_anomalies(images: str | Path, manifest: pd.DataFrame) -> Images:
    """Images uint8 ``[N, S, S, 3]`` of rows of a manifest, in their order; those with a path are read and resized."""
    with h5py.File(images) as file:
        side = int(file["images"].shape[1])
        places = zip(manifest["position"], manifest["path"], strict=True)
        return np.stack(
            [
                resize_square(np.array(to_rgb8(read_image(str(path)))), side) if path else file["images"][int(position)]
                for position, path in places
            ]
        )


def read_normals(images: str | Path) -> NamedImages | None:
    """The normal images that a source's anomalies are to be compared with; None: the originals of ``images.h5``."""
    with h5py.File(images) as file:
        return NamedImages(_names(file["normal_id"]), file["normals"][:]) if "normals" in file else None


def read_strengths(images: str | Path) -> Strengths | None:
    """Rows of growing strength, of sources that have degrees."""
    with h5py.File(images) as file:
        group = file.get("strengths")
        if group is None:
            return None
        return Strengths(group["images"][:], group["strength"][:].tolist(), _names(group["label"]))


def _names(data: h5py.Dataset) -> list[str]:
    return [str(name) for name in data.asstr()[:]]
