"""Whose a file or folder on its way is: told by its name, so that what a killed process left can be cleared.

``.images.variad-1f0c22ab-4711-98765-x7k2m9qa.h5`` is what becomes ``images.h5``: after the mark come the machine, the
number of the process and its start, in the kernel's ticks since that machine's own start. Of a process on this machine
it can be known whether it lives. Of one on another machine, which may write to the same disk at this moment, it cannot:
what it left goes once it has not been touched for a week.
"""

import functools
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK = "variad"
# the start of a name is enough to tell by, and the whole of a long one would leave no room for the rest
KEPT_OF_NAME = 40  # characters
UNTOUCHED = 7 * 24 * 3600  # seconds, after which what a process on another machine left is taken for abandoned
SCRIPTS = Path(".snakemake/scripts")
WAITING = 3600  # seconds, within which a copy of a script is read by the job that it was made for
_NAME = re.compile(
    rf"\..*\.{MARK}-(?P<machine>[0-9a-f]{{8}})-(?P<process>\d+)-(?P<start>\d+)-\w{{8}}(?:\.[^.]*)?", re.S
)


def prefix_of(target: Path) -> str:
    """How the temporary of a file or folder begins, while this process makes it; ``tempfile`` adds eight letters."""
    process = os.getpid()
    return f".{target.stem[:KEPT_OF_NAME]}.{MARK}-{_machine()}-{process}-{_start(process) or 0}-"


def clear_leftovers(folder: str | Path, deep: bool = False) -> list[Path]:
    """Remove the temporaries of processes that are no more, and give what was removed.

    Args:
        folder: is looked through; one that does not exist has none.
        deep: with all folders below it, but no links to others.
    """
    cleared = []
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place, name)
            if is_left_over(path):
                _remove(path)
                cleared.append(path)
        folders[:] = [name for name in folders if not _NAME.fullmatch(name)] if deep else []
    return cleared


def clear_scripts(folder: str | Path = SCRIPTS) -> None:
    """Remove copies of scripts that Snakemake made for jobs which were killed: those that no job waits for any more."""
    for path in Path(folder).glob("tmp*"):
        if time.time() - _touched(path) > WAITING:
            _remove(path)


def is_left_over(path: Path) -> bool:
    """Whether a path is a temporary that no living process makes."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return False
    if found["machine"] == _machine() and os.name == "posix":
        return not _lives(int(found["process"]), int(found["start"]))
    return time.time() - _touched(path) > UNTOUCHED


@functools.cache
def _machine() -> str:
    """Eight digits for this machine since it was started, as far as its processes know each other by number.

    A container has numbers of its own, whatever its host's name.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii"))
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def _lives(process: int, start: int) -> bool:
    """Whether a process of this machine runs, and is the one that was started then."""
    try:
        os.kill(process, 0)  # signal 0 asks, and does nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    began = _start(process)
    return began is None or began == start  # unknown, where the system shows no processes of others


def _start(process: int) -> int | None:
    """When a process began, in ticks; 0 if it has ended and nobody has asked how; None where that is not known."""
    try:
        text = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # its name, which comes before, may hold anything
    return 0 if state in "ZX" else int(fields[18])


def _touched(path: Path) -> float:
    """When something of a file or folder was last written, in seconds as of ``time.time``."""
    try:
        return max(each.lstat().st_mtime for each in [path, *_below(path)])
    except OSError:  # something of it went away just now
        return time.time()


def _below(path: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(path):
        yield from (Path(place, name) for name in [*folders, *files])


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder; another process may do the same at this moment."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
