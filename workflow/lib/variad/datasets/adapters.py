"""Data set adapters: what they give, which there are, and how each of them lists a folder.

An adapter says where the files of a category are, and which of them is what. It is a frozen dataclass with ``root`` and
``entries``, whose fields are its settings. Adapters are imported by name, so that a change to one of them reruns only
the data sets that use it. A config may also name a class in a user's own file, ``my_dataset.py:MyDataset``.
"""

import importlib
import inspect
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from variad.core.errors import UserError
from variad.core.files import scratch_folder
from variad.core.images import SUFFIXES
from variad.core.own_code import check_own_class, load_own_class, own_file
from variad.datasets.folder_names import category_home, nfc, parts_of
from variad.downloads.catalogue import ARCHIVES, DOWNLOADS, lifted_folder
from variad.downloads.catalogue import DATASETS as PUBLISHED

if TYPE_CHECKING:  # h5py would come with it wherever adapters are only named
    from variad.datasets.masks import Saturation

Split = Literal["train", "test", "unlabelled"]
SPLITS = get_args(Split)

ADAPTERS = {
    "elpv": "variad.datasets.packaged:Elpv",
    "textures": "variad.datasets.textures:Textures",
    "folder": "variad.datasets.own_folder:Folder",
    "mvtec_ad": "variad.datasets.folders:MvtecAd",
    "btad": "variad.datasets.folders:Btad",
    "mvtec_loco": "variad.datasets.folders:MvtecLoco",
    "visa": "variad.datasets.folders:Visa",
    "cub": "variad.datasets.class_tasks:Cub",
    "flowers_102": "variad.datasets.class_tasks:Flowers102",
    "tiny_imagenet": "variad.datasets.class_tasks:TinyImagenet",
    "class_folders": "variad.datasets.class_tasks:ClassFolders",
    "package_classes": "variad.datasets.packaged:PackageClasses",
}
# one class is normal, and every defect is another class
CLASS_ADAPTERS = ("cub", "flowers_102", "tiny_imagenet", "class_folders", "package_classes")
# files that rule unpack_dataset renders from packages
RENDERED_ADAPTERS = ("textures", "package_classes")
LAID_OUT_AS_FOLDER = ("folder", "mvtec_ad")
BTAD_INNER = "BTech_Dataset_transformed"  # the folder that BTAD's archive holds


@dataclass(frozen=True)
class Entry:
    """One image of a category.

    Attributes:
        defect: ``good``, the defect's name, or empty where nobody knows. Unlabelled images of a pool
            (``datasets.pool``) have one, for reporting alone.
        image_path: relative to the data set's root; its stem is the last part of ``image_id``.
        mask_path: relative to the data set's root, or None. A folder stands for all masks in it, which are joined.
        name: last part of ``image_id`` in place of the stem, where two folders make up one and share stems.
        folder: middle part of ``image_id`` in place of ``defect``, where folders are called otherwise (``Good``) or lie
            one in another (``good/monday``).
    """

    split: Split
    defect: str
    image_path: Path
    mask_path: Path | None = None
    name: str = ""
    folder: str = ""

    @property
    def image_id(self) -> str:
        """``{split}/{defect}/{stem}``, or ``unlabelled/{stem}``, in Unicode's form NFC, whatever the file system's."""
        parts = (self.split, self.folder or self.defect, self.name or self.image_path.stem)
        return nfc("/".join(part for part in parts if part))

    @property
    def label(self) -> int | None:
        """0 normal, 1 anomalous, None if nobody knows."""
        if not self.defect:
            return None
        return 0 if self.defect == "good" else 1


@dataclass(frozen=True)
class PassedOver:
    """A file below a category's folder that is neither an image nor a mask of it; ``str`` is one line.

    Attributes:
        path: relative to the data set's root; a folder where it was not looked into (a link, or one without access).
    """

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.reason}"


class Dataset(Protocol):
    """A data set whose files lie below ``root``, the folder that paths are relative to."""

    @property
    def root(self) -> Path: ...

    def entries(self, category: str) -> list[Entry]:
        """Every image of a category: train, test, unlabelled, in a fixed order.

        Raises:
            UserError: the category is unknown, or its files are not there.
        """
        ...


def open_dataset(adapter: str, root: str | Path | None = None, **settings: Any) -> Dataset:
    """Make the adapter of a data set.

    Args:
        adapter: a name of ``ADAPTERS``, or ``file.py:Class``.
        root: folder of the data set; None where the data comes from a package.
        settings: plain values, the fields of the adapter.

    Raises:
        UserError: the adapter or a setting is unknown, or the adapter needs a folder.
    """
    check_adapter(adapter)
    if adapter in ADAPTERS:
        module, name = ADAPTERS[adapter].split(":")
        kind = getattr(importlib.import_module(module), name)
    else:
        kind = load_own_class(adapter, "data set adapter")
    fields = list(inspect.signature(kind).parameters)
    known = [name for name in fields if name != "root"]
    for name in settings:
        if name not in known:
            raise UserError(f"settings of adapter '{adapter}': expected {', '.join(known) or 'none'}, found '{name}'.")
    if "root" in fields and root is None:
        raise UserError(f"adapter '{adapter}': expected the path of the data set's folder, found none.")
    dataset: Dataset = kind(root=Path(str(root)), **settings) if "root" in fields else kind(**settings)
    return dataset


def check_adapter(adapter: str, settings: Collection[str] | None = None) -> None:
    """Check an adapter's name and, where settings are given, look into a user's own file, without running it.

    Args:
        settings: names that the constructor of a user's own adapter has to know.

    Raises:
        UserError: an adapter is neither registered nor a class in a Python file that exists, or lacks a setting.
    """
    if adapter not in ADAPTERS and own_file(adapter) is None:
        raise UserError(
            f"data set adapter: expected one of {', '.join(ADAPTERS)}, or file.py:Class, found {adapter!r}."
        )
    if adapter not in ADAPTERS and settings is not None:
        check_own_class(adapter, "data set adapter", settings, given=("root",))


def adapter_file(adapter: str) -> Path:
    """The Python file that an adapter's class is in.

    Raises:
        UserError: as ``check_adapter``.
    """
    check_adapter(adapter)
    if adapter not in ADAPTERS:
        return Path(adapter.rpartition(":")[0])
    return Path(__file__).with_name(f"{ADAPTERS[adapter].partition(':')[0].rpartition('.')[2]}.py")


def saturations_of(dataset: Dataset, category: str) -> "Mapping[int, Saturation] | None":
    """What is enough to have found a defect, by the pixel value of its masks; None where all of it has to be found.

    Raises:
        UserError: the data set's own table of them is not valid.
    """
    return dataset.saturations(category) if hasattr(dataset, "saturations") else None


def root_of(name: str, dataset: Mapping[str, Any]) -> str | None:
    """Folder of the files of a config's data set, there or not; None where they are inside a package.

    A user's own, or the top folder in it that the publisher's archive holds; else where an archive is unpacked, or what
    is rendered lies.
    """
    adapter, path = dataset["adapter"], dataset["path"]
    if path:
        source = PUBLISHED.get(adapter)
        return str(lifted_folder(Path(path), source)) if source else str(path)
    if adapter in ARCHIVES:
        return f"{DOWNLOADS}/{adapter}"
    return f"{DOWNLOADS}/{name}" if adapter in RENDERED_ADAPTERS else None


def root_given(rendered: object, contents: object, name: str, dataset: Mapping[str, Any]) -> str | None:
    """As ``root_of``, of a rule's inputs: below the prefix of a module, what other rules made lies elsewhere.

    Args:
        rendered: the folder that a rule rendered; contents: the list of what a rule unpacked; empty where none did.
    """
    if rendered:
        return str(rendered)
    return str(Path(str(contents)).parent) if contents else root_of(name, dataset)


def passed_over_of(dataset: Dataset, category: str) -> list[PassedOver]:
    """The files of a category that its adapter did not take, where it says so; else none.

    Raises:
        UserError: as ``entries``.
    """
    return dataset.passed_over(category) if hasattr(dataset, "passed_over") else []


def watched(adapter: str, root: str | Path | None, category: str, split: Split, pooled: bool = False) -> list[Path]:
    """What a split of a category is read from: folders, with all that is below them, and files that are there.

    For a watch of changes while Snakemake parses: nothing is opened, and nothing heavy is imported. What the layout
    does not tell apart is watched for every split alike; a class task needs the images of all classes.

    Args:
        pooled: whether images of the other splits are moved to the unlabelled ones, which are read from all then.
    """
    splits = SPLITS if pooled and split == "unlabelled" else (split,)
    try:
        there = root is not None and Path(root).is_dir()
        paths = [path for one in splits for path in _watched(adapter, Path(str(root)), category, one)] if there else []
        return list(dict.fromkeys(paths))
    except OSError:  # whoever reads the folder says that it cannot be read
        return []


def _watched(adapter: str, root: Path, category: str, split: Split) -> list[Path]:
    if adapter in LAID_OUT_AS_FOLDER:
        home = category_home(root, category)
        parts = parts_of(home) if home else {}
        return [
            folder for part in ((split, "truth") if split == "test" else (split,)) for folder in parts.get(part, [])
        ]
    inner = root / BTAD_INNER if adapter == "btad" and (root / BTAD_INNER).is_dir() else root
    if adapter in CLASS_ADAPTERS or not (inner / category).is_dir():
        return [root]
    lists = [root / "split_csv"] if adapter == "visa" else []
    return [inner / category, *(path for path in lists if path.exists())]


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


@contextmanager
def rendering(root: Path) -> Iterator[Path]:
    """Give a folder to render into, which becomes ``root`` when the block ends without an error."""
    with scratch_folder(root) as folder:
        yield folder / "whole"
        (folder / "whole").replace(root)


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder by name, hidden ones left out; a folder that is not there has none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder by stem, in the order of their names; a folder that is not there has none.

    Hidden files and files of other types are passed over.

    Raises:
        UserError: two images have the same stem, or a name cannot be written to a table.
    """
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        check_file_name(folder, path.name)
        if path.stem in found:
            raise UserError(f"{folder}: expected one image a stem, found {found[path.stem].name} and {path.name}.")
        found[path.stem] = path
    return found


def check_file_name(folder: Path, name: str) -> None:
    """Refuse a name that cannot be written to a table.

    Raises:
        UserError: control characters, which break tables, or bytes that are not UTF-8.
    """
    if not name.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise UserError(f"{folder}: expected file names in UTF-8 without control characters, found {name!a}.")


def shown(path: Path) -> str:
    """A path as one line of text, whatever is in its name."""
    return "".join(a if a.isprintable() else a.encode("unicode_escape").decode() for a in path.as_posix())


def expected_images(folder: Path, what: str = "images") -> dict[str, Path]:
    """As ``images_by_stem``, of a folder that must hold some.

    Raises:
        UserError: the folder is missing or holds none. So for ``images_by_stem``.
    """
    found = images_by_stem(folder)
    if not found:
        missing = "none" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder}: expected {what} ({', '.join(SUFFIXES)}), found {missing}.")
    return found


def category_folder(root: Path, category: str, known: Iterable[str], dataset: str) -> Path:
    """The folder of a category of a published data set.

    Raises:
        UserError: the data set has no such category, or the root or the category's folder is missing.
    """
    if category not in known:
        raise UserError(f"data set {dataset}: expected a category of {', '.join(known)}, found '{category}'.")
    if not root.is_dir():
        raise UserError(f"{root}: expected the folder of data set {dataset}, found no such folder.")
    if not (root / category).is_dir():
        found = ", ".join(path.name for path in subfolders(root)) or "none"
        raise UserError(f"{root}: expected a folder of category '{category}', found {found}.")
    return root / category
