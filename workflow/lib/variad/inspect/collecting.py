"""What a cell's files put into its bundle: pixel rule, pictures, provenance and licences; only the workflow uses it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from variad.core.files import sha256
from variad.core.images import Images, resize_square
from variad.core.provenance import version_of
from variad.core.records import optional_strings, read_image_ids, read_images
from variad.detectors.training import CellFiles, accepted_rows, parents_of
from variad.downloads.catalogue import DATASETS
from variad.inspect.bundle import MOST_SHOTS, PixelRule
from variad.networks.backbones import LITE0, Backbone
from variad.networks.pdn import NETWORKS

SHOT_SIDE = 128  # pixels of a picture in a bundle
PACKAGES = ("numpy", "pillow", "scipy", "timm", "tifffile", "torch")
CARD_LINE = "- Licence: "
UNKNOWN_LICENCE = "we know of no stated licence"
OWN_DATA = {  # licences of photographs that are in no catalogue, by adapter
    "elpv": "CC BY-NC-SA 4.0: no commercial use",
    "folder": "your own",
    "textures": "CC0 (scikit-image), with simulated defects",
}


def pixel_rule(images: str | Path) -> PixelRule:
    """The rule that an ``images.h5`` was packed by."""
    with h5py.File(images) as file:
        side, low, high = (file.attrs.get(name) for name in ("image_size", "percentile_low", "percentile_high"))
    return PixelRule(int(side), *(None if value is None else float(value) for value in (low, high)))


class TrainedOn(NamedTuple):
    """What a model was fitted on.

    Attributes:
        photographs: image_id and file's SHA-256 of each: shots, then those that were added.
        generated: how many images were made of these and added.
        pictures: small ones of the first photographs, uint8 ``[K, s, s, 3]``, K at most ``MOST_SHOTS``.
    """

    photographs: list[dict[str, str]]
    generated: int
    pictures: Images


def trained_on(cell: CellFiles, shots: Sequence[str], candidates: Sequence[str | Path], run: int) -> TrainedOn:
    """What the model of a run was fitted on.

    Args:
        candidates: the ``images.h5`` that a recipe took unlabelled photographs from; none where it took none.
    """
    paths = [cell.images, *candidates]
    known = {
        name: digest
        for path in paths
        for name, digest in zip(read_image_ids(path), optional_strings(path, "sha256") or (), strict=True)
    }
    names = list(dict.fromkeys(parents_of(cell, run, shots)))
    images = read_images(paths, names[:MOST_SHOTS])
    return TrainedOn(
        [{"image_id": name, "sha256": known[name]} for name in names],
        0 if candidates else len(accepted_rows(cell, run)),
        np.stack([resize_square(image, min(SHOT_SIDE, len(image))) for image in images]),
    )


def provenance(
    cell: Mapping[str, Any],
    made_from: Mapping[str, Any],
    training: TrainedOn,
    files: Mapping[str, str | Path],
    weights_sha256: str,
) -> dict[str, Any]:
    """What a bundle's numbers can be traced to, without a path of this machine.

    Args:
        cell: names of the cell and its run.
        made_from: the config's entries that the cell is made of; their hash is kept, as they may name folders.
        files: by what they are; each is hashed.
    """
    return {
        "cell": dict(cell),
        "training_images": training.photographs,
        "generated_images": training.generated,
        "files": {name: sha256(path) for name, path in files.items()} | {"weights": weights_sha256},
        "config_sha256": hashlib.sha256(json.dumps(made_from, sort_keys=True, default=str).encode()).hexdigest(),
        "root_seed": made_from["run"]["seed"],
        "packages": {name: version_of(name) for name in PACKAGES},
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def licences(backbone: Backbone, weights: str | Path | None, adapter: str) -> list[str]:
    """What is known of the licences of a backbone's weights and of the photographs."""
    return [_of_weights(backbone.name, weights), _of_data(adapter)]


def _of_weights(name: str, weights: str | Path | None) -> str:
    card = Path(weights).with_name("README.md") if weights is not None else None  # as ours have
    stated = None
    if name == LITE0:
        stated = "Apache-2.0"
    elif card is not None and card.is_file():
        lines = (line for line in card.read_text("utf-8").splitlines() if line.startswith(CARD_LINE))
        stated = next(lines, "").removeprefix(CARD_LINE)
    elif name not in NETWORKS:
        import timm

        stated = getattr(timm.get_pretrained_cfg(name), "license", None)
    return f"weights of {name}: {stated or UNKNOWN_LICENCE}"


def _of_data(adapter: str) -> str:
    published = DATASETS[adapter].licence if adapter in DATASETS else OWN_DATA.get(adapter)
    return f"photographs ({adapter}): {published or UNKNOWN_LICENCE}"
