"""One process at a time on a file or folder, without a lock that a killed process could leave behind."""

import errno
import fcntl
import os
from pathlib import Path

from variad.errors import UserError

# file systems that know no locks, some network ones among them
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def lock(descriptor: int, path: Path) -> None:
    """Hold ``path``, open as ``descriptor``, until that is closed.

    Raises:
        UserError: another process holds it, or finished with it since it was opened.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return
        raise _taken(path) from error
    # The other process may have renamed it between our opening and our lock: then this is its finished work.
    if not path.exists() or not os.path.samestat(os.fstat(descriptor), path.stat()):
        raise _taken(path)


def _taken(path: Path) -> UserError:
    return UserError(f"{path}: expected no other process at work on it, found one; wait for that to end.")
