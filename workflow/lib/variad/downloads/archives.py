"""Unpacking an archive that is not trusted: all of it or nothing, and nothing outside its folder.

The standard library reads them, and tarfile's data filter refuses special files and links that lead out, also of zips.
Here is what they let pass: bombs, names that they would mend, a name twice, links to links, damaged headers.
"""

import bz2
import errno
import gzip
import lzma
import os
import re
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from tqdm import tqdm

from variad.core.errors import UserError
from variad.downloads.transfer import BAR, BLOCK, check_space, only_one

DECOMPRESS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\0": lzma.open, b"BZh": bz2.open}
# what the readers of the standard library raise on bytes that make no sense
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, NotImplementedError, ValueError)
LARGEST_HEADER = 2**20  # bytes before a member's content: tarfile reads long names and maps into memory at once
LONGEST_NAME, LONGEST_PART = 4096, 255  # the latter in bytes, of the common file systems
# what an archive may unpack to; images hardly compress, so that the data sets stay far below
MOST_BYTES = 64 * 2**30  # of all files together
MOST_TIMES = 200.0  # the archive's own bytes
ANYWAY = 64 * 2**20  # bytes that any archive may unpack to, however small it is
MOST_MEMBERS = 500_000  # files, folders and links
Members = Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]


class _Refusal(Exception):
    """Why an archive, or a member of it, is not unpacked."""


def extract(archive: Path, folder: Path) -> None:
    """Unpack a zip, or a tar as it is or compressed by gzip, xz or bzip2, into the new ``folder``.

    The archive is read once. Files and folders get the permissions that new ones get here, whatever the archive says,
    and the present time. Links stay where they lead to a file of the archive.

    Raises:
        UserError: names the archive and the member that is refused: a path or link that leads out, a special, sparse
            or encrypted file, a name twice, a name that is not plain text, more than the limits allow; or a damaged
            archive, a full disk, a target that exists. Nothing of it stays then.
    """
    if not archive.is_file():
        raise UserError(f"{archive}: expected an archive, found no such file.")
    if not hasattr(tarfile, "data_filter"):
        raise UserError(f"{archive}: expected Python 3.11.4 or newer to unpack it, found {sys.version.split()[0]}.")
    # always of the same name, so that the next process clears what a killed one left
    temporary = folder.with_name(f".{folder.name}.unpacking")
    with open(archive, "rb") as stream, only_one(temporary):
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UserError(f"{folder}: expected no such folder before unpacking {archive.name}, found one.")
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            with _faults_named(archive):
                _unpack(archive, stream, temporary)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _faults_named(archive: Path) -> Iterator[None]:
    try:
        yield
    except _Refusal as refusal:
        raise UserError(f"{archive}: {refusal}.") from None
    except (*DAMAGE, OverflowError, RecursionError, OSError) as error:
        # The disk's errors have a number; gzip's and bzip2's none, and zipfile looks for members before the beginning.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = str(error).rstrip(".") or type(error).__name__
        raise UserError(f"{archive}: expected a whole zip or tar (plain, gz, xz, bz2), found: {reason}.") from error


def _unpack(archive: Path, stream: IO[bytes], folder: Path) -> None:
    packed, head = archive.stat().st_size, stream.read(6)
    stream.seek(0)
    with tqdm.wrapattr(stream, "read", total=packed, desc=archive.name, **BAR) as wrapped:
        counted = cast("IO[bytes]", wrapped)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            with zipfile.ZipFile(counted) as zipped:
                sizes = [info.file_size for info in zipped.infolist()]
                _check_size(len(sizes), sum(sizes), packed)  # before anything is written
                check_space(folder, sum(sizes), f"the files of {archive.name}")
                _write(_zip_members(zipped), folder, packed)
        else:
            # Opened here in place of by tarfile, whose streams stop after the first of several compressed parts.
            opened = next((opener(counted) for magic, opener in DECOMPRESS.items() if head.startswith(magic)), counted)
            _write(_tar_members(_Forward(opened)), folder, packed)


def _check_size(members: int, size: int, packed: int) -> None:
    """Refuse an archive of ``packed`` bytes that becomes more than it may."""
    largest = min(MOST_BYTES, max(ANYWAY, int(MOST_TIMES * packed)))
    if members > MOST_MEMBERS:
        raise _Refusal(f"expected at most {MOST_MEMBERS:,} members, found more")
    if size > largest:
        most = f"an archive of {packed:,} bytes to hold at most {largest:,} bytes of files"
        raise _Refusal(f"expected {most}, found at least {size:,}")


class _Forward:
    """A stream that only goes forward, and gives no more than was allowed, with room for one header."""

    def __init__(self, plain: IO[bytes]) -> None:
        self._plain, self._position, self._end, self.last = plain, 0, LARGEST_HEADER, b""

    def allow(self, size: int) -> None:
        self._end = self._position + max(size, 0) + LARGEST_HEADER

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self._end - self._position:  # a negative size would read all of the rest
            raise _Refusal(f"expected headers of at most {LARGEST_HEADER:,} bytes, found more")
        self.last = self._plain.read(size)
        self._position += len(self.last)
        return self.last

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.StreamError("a member before the one that it follows")
        while self._position < position and self.read(min(position - self._position, BLOCK)):
            pass


def _tar_members(forward: _Forward) -> Members:
    with tarfile.open(fileobj=forward, mode="r:") as tar:  # type: ignore[call-overload]
        for member in tar:
            forward.allow(member.size)
            yield member, tar.extractfile(member) if member.isreg() else None
            forward.allow(0)
    # tarfile takes a damaged header for the end. Reading to the real one also makes the decompressor check its sums.
    block = forward.last
    if len(block) < tarfile.BLOCKSIZE:
        raise _Refusal("expected a whole archive, found one that is cut off")
    while block:
        if block.strip(b"\0"):
            raise _Refusal("expected nothing after its last member, found other bytes")
        block = forward.read(tarfile.RECORDSIZE)


def _zip_members(opened: zipfile.ZipFile) -> Members:
    """Members as tarfile would describe them, with their names as stored: zipfile cuts them at a NUL."""
    for info in opened.infolist():
        member = tarfile.TarInfo(info.orig_filename)
        if not info.flag_bits & 0x800:  # it does not say that it is UTF-8, and zipfile takes it for code page 437
            member.name = info.orig_filename.encode("cp437").decode("utf-8", "surrogateescape")
        with _named(member):
            if info.flag_bits & 0x1:
                raise _Refusal("expected a file, a folder or a link, found an encrypted file")
        member.size = info.file_size
        plain = tarfile.DIRTYPE if member.name.endswith("/") else tarfile.REGTYPE
        kinds = {0: plain, stat.S_IFREG: plain, stat.S_IFDIR: plain, stat.S_IFLNK: tarfile.SYMTYPE}  # 0: not from Unix
        member.type = kinds.get(stat.S_IFMT(info.external_attr >> 16), tarfile.FIFOTYPE)
        content = opened.open(info) if member.isreg() or member.issym() else None
        if member.issym() and content:
            member.linkname = content.read(LONGEST_NAME).decode("utf-8", "surrogateescape")
        yield member, content


def _write(members: Members, folder: Path, packed: int) -> None:
    links: list[tuple[tarfile.TarInfo, Path, Path]] = []
    size = 0
    for count, (member, content) in enumerate(members, start=1):
        size += member.size if member.isreg() and not member.issparse() else 0
        _check_size(count, size, packed)
        with _named(member):
            path = _place(member, folder)
            (path if member.isdir() else path.parent).mkdir(parents=True, exist_ok=True)
            if member.issym() or member.islnk():
                start = path.parent if member.issym() else folder  # a hard link counts from the archive's root
                links.append((member, path, Path(os.path.normpath(start / member.linkname))))
            elif member.isreg() and content is not None:
                with open(path, "xb") as stream:  # x: no member takes the place of another
                    shutil.copyfileobj(content, stream, BLOCK)
                    written = stream.tell()
                if written != member.size:
                    raise _Refusal(f"expected {member.size:,} bytes, found {written:,}")
    for member, _, target in links:  # all before the first is made, so that none can lead on through another
        with _named(member):
            if not target.is_file() or not target.is_relative_to(folder):
                raise _Refusal(f"expected a link to a file of the archive, found a link to {member.linkname!a:.120}")
    for member, path, target in links:
        with _named(member):
            path.symlink_to(os.path.relpath(target, path.parent)) if member.issym() else path.hardlink_to(target)


def _place(member: tarfile.TarInfo, folder: Path) -> Path:
    """Where a member belongs. Of the names that are refused here, tarfile mends some and zipfile all in silence."""
    name, parts = member.name, [part for part in member.name.split("/") if part not in ("", ".")]
    longest = max((len(part.encode("utf-8", "replace")) for part in parts), default=0)
    for wrong, reason in (
        (not 1 <= len(name) <= LONGEST_NAME, f"a name of 1 to {LONGEST_NAME} characters, found {len(name)}"),
        (re.match(r"/|[A-Za-z]:", name), "a path relative to the archive, found an absolute one"),
        ("\\" in name, "a path with forward slashes, found a backslash"),
        # bytes that are not UTF-8 come as lone surrogates, which are not printable; neither are NUL and other controls
        (not (name + member.linkname).isprintable(), "a name in printable UTF-8, found other bytes"),
        (".." in parts, "a path inside the archive, found '..'"),
        (longest > LONGEST_PART, f"names of at most {LONGEST_PART} bytes, found a longer one"),
        (not parts and not member.isdir(), "a name, found none"),
        (member.issparse(), "a file, a folder or a link, found a sparse file"),
    ):
        if wrong:
            raise _Refusal(f"expected {reason}")
    try:
        tarfile.data_filter(member, str(folder))
    except tarfile.SpecialFileError:
        raise _Refusal("expected a file, a folder or a link, found a device, pipe or other special file") from None
    except tarfile.FilterError:
        raise _Refusal(f"expected a link inside the archive, found a link to {member.linkname!a:.120}") from None
    return folder.joinpath(*parts)


@contextmanager
def _named(member: tarfile.TarInfo) -> Iterator[None]:
    where = f"member {member.name!a:.120}"
    try:
        yield
    except _Refusal as refusal:
        raise _Refusal(f"{where}: {refusal}") from None
    except (FileExistsError, NotADirectoryError):
        raise _Refusal(f"{where}: expected a name that no other member has, found it taken") from None
