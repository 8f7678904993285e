"""A full disk, foreseen where the size is known and otherwise said in one sentence."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from variad.errors import UserError

# no space left, quota used up, larger than this file system or process may write
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        needed: bytes still to be written.
        purpose: what they are for, as the message names it.

    Raises:
        UserError: less is free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"{folder}: expected {needed:,} free bytes for {purpose}, found {free:,}.")


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk into a ``UserError`` that names ``path``; others pass through."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(f"{path}: expected room to write it, found: {error.strerror}.") from error
