"""A published file on this machine: fetched with its licence said, recorded, unpacked, its weights taken out."""

import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from variad.core.errors import UserError
from variad.core.files import change_of, recorded_hash, scratch_folder, sha256, write_record, writing
from variad.downloads.archives import extract
from variad.downloads.catalogue import Expected, Source
from variad.downloads.transfer import Fetched, WrongFile, fetch

NOTE = ".archive.json"

_log = logging.getLogger(__name__)


def mirrored(source: Source, url: str | None = None, sha256: str | None = None) -> Source:
    """The same file from another address.

    Args:
        url: None keeps the publisher's.
        sha256: of the file there; None expects what the publisher says.
    """
    expected = source.expected if sha256 is None else Expected(sha256=sha256)
    return dataclasses.replace(source, url=url or source.url, expected=expected)


def licence_notice(source: Source) -> str:
    """What to print before a download: its licence, or that we know of none."""
    licence = f"licence {source.licence}" if source.licence else "we know of no stated licence: ask its publisher"
    return f"{source.title}: {licence} ({source.home})"


def fetch_source(source: Source, folder: str | Path) -> Fetched:
    """Download a published file into ``folder``, after saying what its licence is.

    One whose publisher gives no hash is held against that of its first download, which is recorded.

    Raises:
        UserError: as ``fetch``; or the file is not the one that was recorded.
    """
    _log.info("%s", licence_notice(source))
    target = Path(folder) / source.file_name
    if source.expected.hashed:
        return fetch(source.url, target, source.expected)
    recorded = recorded_hash(target)
    try:
        fetched = fetch(source.url, target, Expected(sha256=recorded))
    except WrongFile as error:
        raise WrongFile(f"{str(error).removesuffix('.')}; {change_of(target)}.") from None
    if recorded is None:
        record = write_record(target, source.url, fetched.sha256, fetched.size)
        _log.info("%s: its publisher gives no hash; sha256 %s recorded in %s", target, fetched.sha256, record)
    return fetched


def write_fetched(record: str | Path, source: Source, fetched: Fetched) -> None:
    """Note what was downloaded, from where, and on what terms."""
    content: dict[str, Any] = {"title": source.title, "file": fetched.path.name, "url": source.url}
    content |= {"sha256": fetched.sha256, "size": fetched.size, "licence": source.licence, "home": source.home}
    _write(record, json.dumps(content, indent=2))


def fetch_weights(source: Source, target: Path, archives: Path, keep_archive: bool = True) -> None:
    """Get a file of weights and note its hash, which whoever loads it compares with.

    Args:
        target: the file to make; its name is the source's, or one of its members'.
        archives: folder of the archive where the weights come in one, and stay after a success if ``keep_archive``.

    Raises:
        UserError: as ``fetch_source`` and ``extract``, or the archive has not one such member.
    """
    fetched = fetch_source(source, archives if source.members else target.parent)
    if source.members:
        with scratch_folder(target) as scratch:
            extract(fetched.path, scratch / "files")
            found = [path for path in scratch.rglob(target.name) if path.is_file() and not path.is_symlink()]
            if len(found) != 1:
                raise UserError(f"{fetched.path}: expected one file '{target.name}' in it, found {len(found)}.")
            found[0].replace(target)
    write_record(target, source.url, sha256(target), target.stat().st_size)
    if source.members and not keep_archive:
        fetched.path.unlink()


def unpack_source(
    source: Source, archives: Path, contents: Path, keep_archive: bool = True, beside: Sequence[Source] = ()
) -> None:
    """Fill the folder of ``contents`` from an archive that is verified just before, and list its files in ``contents``.

    A folder that still holds all that came out of the same archive is listed again with no need of the archive:
    fetching and unpacking gigabytes takes long.

    Args:
        archives: folder of the archive, which is fetched where it is missing, and stays if ``keep_archive``.
        beside: files that are published apart from the archive and belong into the folder as they are.

    Raises:
        UserError: as ``fetch_source`` and ``extract``; nothing of the archive is in the folder then.
    """
    folder, note = contents.parent, contents.parent / NOTE
    if not note.is_file() or note.read_text("utf-8", "replace") != f"{_note(folder, source)}\n":
        archive, *others = (fetch_source(each, archives).path for each in (source, *beside))
        shutil.rmtree(folder, ignore_errors=True)
        extract(archive, folder)
        _lift(folder, source.top_folder)
        for path in others:
            shutil.copyfile(path, folder / path.name)
        _write(note, _note(folder, source))
    _write(contents, *_names(folder))
    for each in () if keep_archive else (source, *beside):
        (archives / each.file_name).unlink(missing_ok=True)


def _lift(folder: Path, top: str | None) -> None:
    if top is None or not (folder / top).is_dir():
        return
    inner = (folder / top).rename(folder / f".{top}.lifted")  # something in it may have the same name
    for path in list(inner.iterdir()):
        if (folder / path.name).exists():
            shutil.rmtree(folder)
            raise UserError(f"{folder}: expected one '{path.name}' in the archive, found it in '{top}' too.")
        path.rename(folder / path.name)
    inner.rmdir()


def _note(folder: Path, source: Source) -> str:
    names = hashlib.sha256("\n".join(_names(folder)).encode()).hexdigest()
    expected = dataclasses.asdict(source.expected)
    return json.dumps({"archive": source.file_name, "expected": expected, "names": names}, indent=2)


def _names(folder: Path) -> list[str]:
    """The files of the archive; the folder's own two are none of them."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name not in (NOTE, "contents.txt"))


def _write(path: str | Path, *lines: str) -> None:
    with writing(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), "utf-8")
