"""What is published, as ``resources/downloads.yaml`` says. Snakemake reads this as it parses: no heavy imports here."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from variad.core.errors import UserError

DOWNLOADS = "resources/downloads"  # in the folder that a study runs in
FILE = Path(__file__).resolve().parents[4] / "resources" / "downloads.yaml"


@dataclass(frozen=True)
class Expected:
    """What is known of a file beforehand: hashes, hexadecimal, and exact bytes; None where nothing is.

    Raises:
        UserError: a hash of another form, or a negative size.
    """

    sha256: str | None = None
    md5: str | None = None  # older publishers give no other
    size: int | None = None

    def __post_init__(self) -> None:
        for name, digits in (("sha256", 64), ("md5", 32)):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value):
                raise UserError(f"{name}: expected {digits} hexadecimal digits, found '{value}'.")
        if self.size is not None and self.size < 0:
            raise UserError(f"size: expected a number of bytes, found {self.size}.")

    @property
    def hashed(self) -> bool:
        """Whether a hash tells this file from every other."""
        return self.sha256 is not None or self.md5 is not None


@dataclass(frozen=True)
class Source:
    """A file that its publisher serves; what each key says is written in ``resources/downloads.yaml``."""

    title: str
    url: str
    file_name: str
    home: str
    expected: Expected = field(default_factory=Expected)
    about: int | None = None
    licence: str | None = None
    top_folder: str | None = None
    members: tuple[str, ...] = ()

    @property
    def bytes_about(self) -> int | None:
        """Bytes to download, exact or rough; None where nothing is known."""
        return self.expected.size if self.expected.size is not None else self.about


def read_catalogue(path: Path = FILE) -> dict[str, dict[str, Source]]:
    """The entries of both parts of the file, ``datasets`` and ``weights``, by name.

    Raises:
        UserError: an entry lacks a key, has an unknown one, or a hash or size of another form.
    """
    parts = yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {part: {name: _source(path, name, entry) for name, entry in parts[part].items()} for part in parts}


def _source(path: Path, name: str, entry: dict[str, Any]) -> Source:
    try:
        expected = Expected(*(entry.pop(key, None) for key in ("sha256", "md5", "size")))
        entry.setdefault("file_name", urlsplit(entry["url"]).path.rpartition("/")[2])
        return Source(**entry | {"expected": expected, "members": tuple(entry.get("members", ()))})
    except (KeyError, TypeError, UserError) as error:
        raise UserError(f"{path}: expected what a download is under '{name}', found: {error}.") from error


_PARTS = read_catalogue()
DATASETS, WEIGHTS = _PARTS["datasets"], _PARTS["weights"]
CATALOGUE = DATASETS | WEIGHTS

# file name of a download of a data set, and of a file of weights, to the name of its entry
DATASET_FILES = {source.file_name: name for name, source in DATASETS.items()}
WEIGHTS_FILES = {file: name for name, source in WEIGHTS.items() for file in source.members or (source.file_name,)}

# What is unpacked into a folder of its name, and which other entries are put beside its files.
BESIDE = {"flowers_102": ("flowers_102_labels", "flowers_102_split")}
ARCHIVES = [name for name, source in DATASETS.items() if source.file_name.endswith((".zip", ".tgz", ".tar.xz"))]


def find_source(name: str) -> Source:
    """An entry of the catalogue.

    Raises:
        UserError: there is none of this name.
    """
    if name not in CATALOGUE:
        raise UserError(f"download: expected one of {', '.join(CATALOGUE)}, found '{name}'.")
    return CATALOGUE[name]


def lifted_folder(root: Path, source: Source) -> Path:
    """Where the files of a copy that somebody else unpacked begin: its top folder, or the root if there is none."""
    inner = root / source.top_folder if source.top_folder else root
    return inner if inner.is_dir() else root


# Where the backbone of LPIPS may lie on this machine; nothing here downloads, and nothing imports torch.

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"  # torchvision's; its name holds the start of its SHA-256
ALEXNET_SHA256 = "7be5be79"


def hub_folder() -> Path:
    """The folder of checkpoints in the cache of torch.hub, as its environment variables say."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    return Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser() / "hub" / "checkpoints"


def find_lpips_backbone(folder: str | Path) -> str | None:
    """Path of AlexNet's ImageNet weights: in ``folder``, or in the cache of torch.hub; None if they are in neither."""
    candidates = (Path(folder) / ALEXNET_FILE, hub_folder() / ALEXNET_FILE)
    return next((str(path) for path in candidates if path.is_file()), None)
