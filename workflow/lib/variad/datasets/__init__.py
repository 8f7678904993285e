"""Data sets, one adapter a file.

An adapter is a frozen dataclass with ``root``, ``categories`` and ``entries`` (see ``interface``) whose fields are its
settings. Adapters are imported by name, so that a change to one of them reruns only the data sets that use it.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from variad.datasets.interface import Dataset
from variad.datasets.saturation import Saturation
from variad.errors import UserError

ADAPTERS = {
    "elpv": "Elpv",
    "textures": "Textures",
    "folder": "Folder",
    "mvtec_ad": "MvtecAd",
    "btad": "Btad",
    "mvtec_loco": "MvtecLoco",
    "visa": "Visa",
    "cub": "Cub",
    "flowers_102": "Flowers102",
    "tiny_imagenet": "TinyImagenet",
    "class_folders": "ClassFolders",
    "package_classes": "PackageClasses",
}
# one class is normal, and every defect is another class
CLASS_ADAPTERS = ("cub", "flowers_102", "tiny_imagenet", "class_folders", "package_classes")
# files that rule unpack_dataset renders from packages
RENDERED_ADAPTERS = ("textures", "package_classes")


def open_dataset(adapter: str, root: str | Path | None = None, **settings: Any) -> Dataset:
    """Make the adapter of a data set.

    Args:
        adapter: a name of ``ADAPTERS``.
        root: folder of the data set; None where the data comes from a package.
        settings: plain values, the fields of the adapter.

    Raises:
        UserError: the adapter or a setting is unknown, or the adapter needs a folder.
    """
    if adapter not in ADAPTERS:
        raise UserError(f"data set adapter: expected one of {', '.join(ADAPTERS)}, found '{adapter}'.")
    kind = getattr(importlib.import_module(f"variad.datasets.{adapter}"), ADAPTERS[adapter])
    known = [field.name for field in dataclasses.fields(kind) if field.name != "root"]
    for name in settings:
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise UserError(f"settings of adapter '{adapter}': expected {allowed}, found '{name}'.")
    if root is None and adapter != "elpv":
        raise UserError(f"adapter '{adapter}': expected the path of the data set's folder, found none.")
    dataset: Dataset = kind(**settings) if adapter == "elpv" else kind(root=Path(str(root)), **settings)
    return dataset


def saturations_of(dataset: Dataset, category: str) -> Mapping[int, Saturation] | None:
    """From which area on each kind of defect counts as found, by the pixel value of masks; None where all count fully.

    Raises:
        UserError: the data set's own table of them is not valid.
    """
    return dataset.saturations(category) if hasattr(dataset, "saturations") else None


def unpack_dataset(adapter: str, folder: str | Path, **settings: Any) -> None:
    """Put the files of a data set that has to be rendered into ``folder``, which must not exist or be empty.

    Raises:
        UserError: as ``open_dataset``, or the adapter has nothing to unpack.
    """
    dataset = open_dataset(adapter, folder, **settings)
    if not hasattr(dataset, "unpack"):
        raise UserError(
            f"adapter '{adapter}': expected one that renders its files ({', '.join(RENDERED_ADAPTERS)}), "
            "found nothing to unpack."
        )
    dataset.unpack()
