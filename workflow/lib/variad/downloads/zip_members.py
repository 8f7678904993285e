"""The members of a zip archive."""

import stat
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from variad.downloads.members import LONGEST_NAME, Kind, Member

ENCRYPTED, NAME_IS_UTF8 = 0x1, 0x800


def zip_members(stream: BinaryIO) -> Iterator[Member]:
    """Yield the members in the order of the archive's directory.

    Raises:
        zipfile.BadZipFile and others: a damaged archive, or a compression that Python does not know.
    """
    packed = 0
    with zipfile.ZipFile(stream) as opened:
        for info in opened.infolist():
            packed += info.compress_size
            yield _member(opened, info, packed)


def declared_size(stream: BinaryIO) -> tuple[int, int]:
    """Members and bytes of content that the directory of the archive declares."""
    with zipfile.ZipFile(stream) as opened:
        sizes = [info.file_size for info in opened.infolist()]
    return len(sizes), sum(sizes)


def _member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, packed: int) -> Member:
    kind, name = _kind(info), _name(info)
    if kind is Kind.SYMLINK:
        with opened.open(info) as target:
            return Member(name, kind, link=_decoded(target.read(LONGEST_NAME)), packed=packed)
    content = opened.open(info) if kind is Kind.FILE else None
    return Member(name, kind, info.file_size, content=content, packed=packed)


def _kind(info: zipfile.ZipInfo) -> Kind:
    if info.flag_bits & ENCRYPTED:
        return Kind.ENCRYPTED
    type_of_file = stat.S_IFMT(info.external_attr >> 16)  # zero where it was made elsewhere than on Unix
    if type_of_file == stat.S_IFLNK:
        return Kind.SYMLINK
    if type_of_file not in (0, stat.S_IFREG, stat.S_IFDIR):
        return Kind.SPECIAL
    return Kind.FOLDER if info.is_dir() else Kind.FILE


def _name(info: zipfile.ZipInfo) -> str:
    """The name as it is stored: zipfile cuts it at a NUL, and reads what does not say UTF-8 as code page 437."""
    name = info.orig_filename
    if info.flag_bits & NAME_IS_UTF8 or name.isascii():
        return name
    return _decoded(name.encode("cp437"))


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
