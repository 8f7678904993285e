"""The members of a tar archive, plain or compressed, in one pass over its bytes."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from variad.downloads.members import Kind, Member
from variad.errors import UserError

BLOCK = 2**20
# What may stand before a member's content: its header and long names. More would be read into memory at once.
LARGEST_HEADER = 2**20
KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARD_LINK,
}


def tar_members(archive: Path, stream: BinaryIO, compression: str) -> Iterator[Member]:
    """Yield the members in the archive's order.

    Args:
        stream: the archive, open at its beginning.
        compression: ``gz``, ``xz``, ``bz2`` or empty.

    Raises:
        UserError: a header that is too large, or bytes after the archive's end.
        tarfile.TarError and others: a damaged archive.
    """
    # Opened here in place of by tarfile, whose streams stop after the first of several compressed parts.
    with _decompressed(stream, compression) as plain:
        forward = _Forward(plain, archive)
        with tarfile.open(fileobj=forward, mode="r:") as tar:
            while (info := tar.next()) is not None:
                kind = Kind.SPARSE if info.issparse() else KINDS.get(info.type, Kind.SPECIAL)
                content = tar.extractfile(info) if kind is Kind.FILE else None
                forward.grant(max(info.size, 0))
                yield Member(info.name, kind, info.size, info.linkname, content, stream.tell())
                forward.grant(0)
        _check_end(archive, forward)


class _Forward(io.RawIOBase):
    """A stream that only goes forward, and gives no more than was granted, with room for one header.

    tarfile's own has a layer more and copies each byte several times; and what a header declares as a long name,
    tarfile reads into memory, whatever its size.
    """

    def __init__(self, plain: IO[bytes], archive: Path) -> None:
        self._plain, self._archive = plain, archive
        self._position, self._limit = 0, 0
        self.tail = b""
        self.grant(0)

    def grant(self, size: int) -> None:
        """Allow ``size`` bytes of content from here on, and one header after it."""
        self._limit = self._position + size + LARGEST_HEADER

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._limit - self._position:  # a negative size would read all of the rest
            raise UserError(f"{self._archive}: expected headers of at most {LARGEST_HEADER:,} bytes, found more.")
        data = self._plain.read(size)
        self._position += len(data)
        self.tail = (self.tail + data[-tarfile.BLOCKSIZE :])[-tarfile.BLOCKSIZE :]
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < self._position:
            raise tarfile.StreamError("a member before the one that it follows")
        while (rest := position - self._position) and self.read(min(rest, BLOCK)):
            pass
        return self._position


def _check_end(archive: Path, forward: _Forward) -> None:
    """Read what follows the last member, which has to be zeros: tarfile takes a damaged header for the end.

    It also makes the decompressor check its sums.
    """
    while rest := forward.read(tarfile.RECORDSIZE):
        if rest.strip(b"\0"):
            raise UserError(f"{archive}: expected nothing after its last member, found other bytes.")
    if forward.tail != bytes(tarfile.BLOCKSIZE):
        raise UserError(f"{archive}: expected a whole archive, found one that is cut off.")


def _decompressed(stream: BinaryIO, compression: str) -> IO[bytes]:
    if compression == "gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    if compression == "xz":
        return lzma.open(stream)
    if compression == "bz2":
        return bz2.open(stream)
    return stream
