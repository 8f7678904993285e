"""What stands in an archive, whatever its format, and where it may be put."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import IO

LONGEST_PART = 255  # bytes, of the common file systems
LONGEST_NAME = 4096


class Kind(Enum):
    """What a member is; everything but files, folders and links is ``SPECIAL``."""

    FILE = "a file"
    FOLDER = "a folder"
    SYMLINK = "a symbolic link"
    HARD_LINK = "a hard link"
    SPARSE = "a sparse file"
    ENCRYPTED = "an encrypted file"
    SPECIAL = "a device, pipe or other special file"


@dataclass(frozen=True)
class Member:
    """One entry of an archive, as the archive declares it.

    Attributes:
        name: as stored.
        size: bytes of a file's content.
        link: where a link leads, as stored.
        content: the file's bytes, to be read before the next member is asked for.
        packed: bytes of the archive up to here, for the progress.
    """

    name: str
    kind: Kind
    size: int = 0
    link: str = ""
    content: IO[bytes] | None = None
    packed: int = 0


class Refusal(Exception):
    """Why a member is not unpacked: ``expected`` and ``found``, in words."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")


def safe_parts(name: str) -> tuple[str, ...]:
    """The folders and the name of a member, relative to the folder of extraction; empty for that folder itself.

    Raises:
        Refusal: the name leads out of it, or is one that file systems or terminals read in different ways.
    """
    if not name or len(name) > LONGEST_NAME:
        raise Refusal(f"a name of 1 to {LONGEST_NAME} characters", f"{len(name)}")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise Refusal("a path relative to the archive", "an absolute one")
    if "\\" in name:
        raise Refusal("a path with forward slashes", "a backslash")
    if not _is_plain_text(name):
        raise Refusal("a name in printable UTF-8", "other bytes")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise Refusal("a path inside the archive", "'..'")
    if any(len(part.encode()) > LONGEST_PART for part in parts):
        raise Refusal(f"names of at most {LONGEST_PART} bytes", "a longer one")
    return parts


def link_parts(member: Member, parts: tuple[str, ...]) -> tuple[str, ...]:
    """Where the link at ``parts`` leads, relative to the folder of extraction.

    A symbolic link counts from its own folder, a hard link from the archive's root.

    Raises:
        Refusal: it leads out.
    """
    folder = parts[:-1] if member.kind is Kind.SYMLINK else ()
    resolved = list(folder)
    if member.link.startswith("/") or not _is_plain_text(member.link):
        raise Refusal("a link inside the archive", f"{member.kind.value} to {shown(member.link)}")
    for part in member.link.split("/"):
        if part == ".." and not resolved:
            raise Refusal("a link inside the archive", f"{member.kind.value} to {shown(member.link)}")
        if part == "..":
            resolved.pop()
        elif part not in ("", "."):
            resolved.append(part)
    return tuple(resolved)


def shown(name: str) -> str:
    """A name as a message may print it: quoted, in ASCII, not endless."""
    return ascii(name if len(name) <= 120 else f"{name[:117]}...")


def _is_plain_text(name: str) -> bool:
    # Bytes that are not UTF-8 come as lone surrogates, which are not printable; neither are NUL and other controls.
    return name.isprintable()
