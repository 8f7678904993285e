"""Unpacking an archive that is not trusted: all of it or nothing, and nothing outside its folder."""

import errno
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from variad.downloads.disk_space import check_space
from variad.downloads.limits import Budget, Limits
from variad.downloads.locking import lock
from variad.downloads.member_writing import write_members
from variad.downloads.members import Member
from variad.downloads.progress import Progress
from variad.downloads.tar_members import tar_members
from variad.downloads.zip_members import declared_size, zip_members
from variad.errors import UserError

MAGIC = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gz", b"\xfd7zXZ\0": "xz", b"BZh": "bz2"}
# What the readers of the standard library raise on bytes that make no sense; ValueError: numbers in a tar's header.
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, NotImplementedError, ValueError)


def extract(archive: str | Path, target: str | Path, limits: Limits | None = None, keep_archive: bool = True) -> None:
    """Unpack a zip, or a tar as it is or compressed by gzip, xz or bzip2, into the new folder ``target``.

    The archive is read once. Files and folders get the permissions that new ones get here, whatever the archive says,
    and the present time. Links stay where they lead to a file of the archive.

    Args:
        limits: how much it may become.
        keep_archive: whether it stays after a success.

    Raises:
        UserError: names the archive and the member that is refused: a path or link that leads out, a special, sparse
            or encrypted file, a name twice, a name that is not plain text, more than the limits allow; or a damaged
            archive, a full disk, a target that exists. Nothing of it stays then.
    """
    source, folder = Path(archive), Path(target)
    if not source.is_file():
        raise UserError(f"{source}: expected an archive, found no such file.")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder}: expected no such folder before unpacking {source.name}, found one.")
    with _new_folder(folder) as temporary, open(source, "rb") as stream, _damage_named(source):
        _unpack(source, stream, temporary, limits or Limits())
    if not keep_archive:
        source.unlink()


def _unpack(archive: Path, stream: BinaryIO, folder: Path, limits: Limits) -> None:
    kind = _kind_of(stream)
    if kind == "zip":
        members, size = declared_size(stream)
        Budget(limits, archive).spend(size, members)  # before anything is written
        check_space(folder, size, f"the files of {archive.name}")
    with Progress(archive.name, archive.stat().st_size) as progress:
        found: Iterator[Member] = zip_members(stream) if kind == "zip" else tar_members(archive, stream, kind)
        write_members(archive, found, folder, Budget(limits, archive), progress)


def _kind_of(stream: BinaryIO) -> str:
    head = stream.read(max(map(len, MAGIC)))
    stream.seek(0)
    return next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), "")


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` that gets its name after a success, and is removed after a failure.

    Its own name is always the same, so that what a killed process left is removed by the next.
    """
    temporary = folder.with_name(f".{folder.name}.unpacking")
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise UserError(f"{temporary}: expected a folder that can be written to, found: {error.strerror}.") from error
    try:
        lock(descriptor, temporary)
        try:
            _empty(temporary)
            yield temporary
            temporary.replace(folder)
        except BaseException:
            shutil.rmtree(temporary)
            raise
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        # The disk's have a number; gzip's and bzip2's none, and zipfile looks for members before the beginning.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: Exception) -> UserError:
    reason = str(error).rstrip(".") or type(error).__name__
    return UserError(f"{archive}: expected a whole zip or tar (plain, gz, xz, bz2), found: {reason}.")
