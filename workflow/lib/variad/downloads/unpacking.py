"""A data set from its archive into its folder, once: fetched if it is not there, verified, and unpacked whole."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from variad.downloads.extraction import extract
from variad.downloads.retrying import Patience
from variad.downloads.sources import Source, fetch_source
from variad.errors import UserError
from variad.files import writing

NOTE = ".archive.json"


def unpack_source(
    source: Source,
    archives: Path,
    contents: Path,
    keep_archive: bool = True,
    beside: Sequence[Source] = (),
    patience: Patience | None = None,
) -> None:
    """Fill the folder of ``contents`` from an archive that is verified just before, and list its files in ``contents``.

    A folder that still holds all that came out of the same archive is listed again with no need of the archive:
    fetching and unpacking gigabytes takes long.

    Args:
        archives: folder of the archive, which is fetched where it is missing.
        keep_archive: whether it stays after a success.
        beside: files that are published apart from the archive and belong into the folder as they are.

    Raises:
        UserError: as ``fetch_source`` and ``extract``; nothing of the archive is in the folder then.
    """
    folder = contents.parent
    if not _is_unpacked(folder, source):
        archive, *others = (fetch_source(each, archives, patience).path for each in (source, *beside))
        if folder.exists():
            shutil.rmtree(folder)
        extract(archive, folder)
        _lift(folder, source.top_folder)
        for path in others:
            shutil.copyfile(path, folder / path.name)
        _write(folder / NOTE, json.dumps(_note(folder, source), indent=2) + "\n")
    _write(contents, "".join(f"{name}\n" for name in _names(folder)))
    if not keep_archive:
        for each in (source, *beside):
            (archives / each.file_name).unlink(missing_ok=True)


def lifted_folder(root: Path, source: Source) -> Path:
    """Where the files of a copy that somebody else unpacked begin: its top folder, or the root if there is none."""
    inner = root / source.top_folder if source.top_folder else root
    return inner if inner.is_dir() else root


def _lift(folder: Path, top: str | None) -> None:
    if top is None or not (folder / top).is_dir():
        return
    inner = (folder / top).rename(folder / f".{top}.lifted")  # something in it may have the same name
    inside = list(inner.iterdir())
    for path in inside:
        if (folder / path.name).exists():
            shutil.rmtree(folder)
            raise UserError(f"{folder}: expected one '{path.name}' in the archive, found it in '{top}' too.")
    for path in inside:
        path.rename(folder / path.name)
    inner.rmdir()


def _is_unpacked(folder: Path, source: Source) -> bool:
    try:
        note = json.loads((folder / NOTE).read_text("utf-8"))
    except (OSError, ValueError):  # none, or one that was not written whole
        return False
    return bool(note == _note(folder, source))


def _note(folder: Path, source: Source) -> dict[str, Any]:
    names = hashlib.sha256("\n".join(_names(folder)).encode()).hexdigest()
    return {"archive": source.file_name, "expected": dataclasses.asdict(source.expected), "names": names}


def _names(folder: Path) -> list[str]:
    """The files of the archive; the folder's own two are none of them."""
    own = (NOTE, "contents.txt")
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name not in own)


def _write(path: Path, text: str) -> None:
    with writing(path) as temporary:
        temporary.write_text(text, "utf-8")
