"""Writing files so that one that exists is complete, and naming them by content."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from variad.errors import UserError


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it to ``path`` when the block ends without an error.

    Raises:
        UserError: the folder cannot be created or written to.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix)
    except OSError as error:
        raise UserError(
            f"{target.parent}: expected a folder that can be written to, found: {error.strerror}."
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify_sha256(path: str | Path, expected: str) -> None:
    """Check a file against a known hash.

    Raises:
        UserError: the file is missing or its hash differs.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: expected a file with sha256 {expected}, found no such file.")
    found = sha256(path)
    if found != expected:
        raise UserError(f"{path}: expected sha256 {expected}, found {found}.")
