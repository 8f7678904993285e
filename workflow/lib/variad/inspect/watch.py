"""Watching a folder: every photograph that gets into it is inspected once, when it is complete, whatever happens.

What was inspected is what stands in one CSV file, to which a line is appended for each photograph and forced to the
disk before the next: there is no second record that it could disagree with. Who is killed before a line is whole finds
a torn line at the next start, removes it, and inspects that photograph, which has no result yet.

A file is known by its path, size, time of modification and hash. It is complete when size and time have not moved for a
while and it decodes. One that does not decode is waited for, then reported and passed over, and looked at again when it
changes. Folders are polled: that works on network shares, where nothing else tells of new files.
"""

import csv
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.core.shortages import room_for
from variad.inspect.photographs import is_photograph, walk
from variad.inspect.results import COLUMNS, Row, csv_line, failed_row, row_of

if TYPE_CHECKING:
    from variad.inspect.inspector import Inspection, Inspector
    from variad.inspect.regions import Region

WATCH_COLUMNS = ("path", "size", "mtime_ns", "sha256", "bundle", "inspected", *COLUMNS[1:])
AT_ONCE = 64  # photographs between two looks at the folder
_HEADER = (",".join(WATCH_COLUMNS) + "\n").encode()


class FileState(NamedTuple):
    """What tells at a glance whether a file is still the same: bytes and nanoseconds."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Pace:
    """Seconds: between two looks at the folder, that a file has to rest before it is opened, and that one which cannot
    be read has to rest until it is given up."""

    interval: float = 0.25
    settle: float = 1.0
    give_up: float = 30.0


class Journal:
    """The CSV file of a watch, open for appending and locked against a second watch.

    Args:
        bundle: the beginning of the bundle's hash, as every line has it.

    Raises:
        UserError: it cannot be written to, is in use, is no such file, or was written with another bundle.
    """

    def __init__(self, path: str | Path, bundle: str) -> None:
        self._path, self._bundle = Path(path), bundle
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise UserError(f"{path}: expected a file that can be written to, found: {error.strerror}.") from error
        try:
            self._lock()
            self._end = self._repaired()
            self._known: dict[str, tuple[FileState, str]] = {}  # by path: its last state and hash
            self._failed_twice: set[str] = set()
            self._places: dict[FileState, list[tuple[str, str]]] = {}  # paths and hashes of all files of that state
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def __len__(self) -> int:
        return len(self._known)

    def close(self) -> None:
        """Close the file; its lock goes with it."""
        os.close(self._file)

    def holds(self, path: str, state: FileState, folder: str) -> bool:
        """Whether a file has its line; one that could not be opened is asked for once more when it can be."""
        known = self._known.get(path)
        if known is None or known[0] != state:
            return False
        return known[1] != "" or path in self._failed_twice or not os.access(Path(folder, path), os.R_OK)

    def holds_content(self, path: str, state: FileState, folder: str) -> bool:
        """Whether a file that has no line of its own is one that has: touched, or moved here from where it was.

        A copy is another photograph, as long as both are there.
        """
        known = self._known.get(path)
        hashes = {known[1]} if known and known[0].size == state.size else set()
        hashes |= {digest for old, digest in self._places.get(state, ()) if state != _state(Path(folder, old))}
        if not hashes:
            return False
        digest = _digest(Path(folder, path))
        if digest not in hashes - {""}:
            return False
        self._remember(path, state, digest)  # found in the same way after a restart
        return True

    def add(self, row: Row, path: str, state: FileState, digest: str) -> None:
        """Append the line of a file and force it to the disk.

        Raises:
            UserError: the disk is full or gone; what was written of the line is taken back.
        """
        told = {"path": path, **state._asdict(), "sha256": digest, "bundle": self._bundle}
        told["inspected"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._append(csv_line(row | told, WATCH_COLUMNS).encode("utf-8", "surrogateescape"))
        if not digest and path in self._known:
            self._failed_twice.add(path)
        self._remember(path, state, digest)

    def _remember(self, path: str, state: FileState, digest: str) -> None:
        self._known[path] = state, digest
        self._places.setdefault(state, []).append((path, digest))

    def _append(self, line: bytes) -> None:
        try:
            with room_for(self._path):
                written = 0
                while written < len(line):
                    written += os.write(self._file, line[written:])
                os.fsync(self._file)
        except UserError:
            os.ftruncate(self._file, self._end)
            raise
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise UserError(f"{self._path}: expected a disk for another line, found: {error.strerror}.") from error
        self._end += len(line)

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # not on Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{self._path}: expected a file of its own, found another watch that writes it.") from error

    def _repaired(self) -> int:
        """Take back a torn last line, begin an empty file; how many bytes there are then."""
        data = self._path.read_bytes()
        if len(data) < len(_HEADER) and _HEADER.startswith(data):
            os.ftruncate(self._file, 0)
            self._end = 0
            self._append(_HEADER)
            return len(_HEADER)
        if not data.startswith(_HEADER):
            raise UserError(f"{self._path}: expected the CSV of a watch, found a file that begins in another way.")
        end, quotes, place = 0, 0, 0
        for line in _lines(data):
            place, quotes = place + len(line), quotes + line.count(b'"')
            if line.endswith(b"\n") and quotes % 2 == 0:  # not within a name that holds a line's end
                end = place
        if end < len(data):
            os.ftruncate(self._file, end)
        return end

    def _read(self) -> None:
        with open(self._path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            lines = csv.reader(stream)
            next(lines)
            for cells in lines:
                try:
                    row = dict(zip(WATCH_COLUMNS, cells, strict=True))
                    state = FileState(int(row["size"]), int(row["mtime_ns"]))
                except ValueError as error:
                    where = f"{self._path}, line {lines.line_num}"
                    raise UserError(f"{where}: expected the columns of a watch, found {len(cells)} others.") from error
                if row["bundle"] != self._bundle:
                    raise UserError(
                        f"{self._path}: expected results of this bundle, found those of another one "
                        f"({row['bundle']}, not {self._bundle}); name another file."
                    )
                self._remember(row["path"], state, row["sha256"])


def _state(path: str | Path) -> FileState | None:
    """The state of a file, or nothing where there is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return FileState(status.st_size, status.st_mtime_ns)


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


@dataclass
class _Waiting:
    """A file that has no line yet: its state, since when, and whether it was opened and could not be read."""

    state: FileState
    since: float
    tried: bool = False


def watch(
    inspector: "Inspector",
    folder: str,
    journal: Journal,
    pace: Pace | None = None,
    leave_out: Collection[Path] = (),
    draw: "Callable[[Inspection, list[Region]], None]" = lambda found, regions: None,
    warn: Callable[[str], None] = lambda sentence: None,
    pause: Callable[[float], None] = sleep,
) -> Iterator[Row]:
    """Inspect what gets into a folder and those in it, for ever; rows are given once they stand in the journal.

    Args:
        folder: may go away, as shares do, and come back.
        leave_out: folders that are not looked into.
        draw: is called before the row is written, so that what it leaves is there if the row is.
        warn: is told once when the folder cannot be read.
        pause: waits so many seconds between two looks at the folder.
    """
    pace, folder = pace or Pace(), str(Path(folder))
    waiting: dict[str, _Waiting] = {}
    complained: set[str] = set()

    def failed(error: OSError) -> None:
        sentence = f"{error.filename or folder}: expected a folder that can be read, found: {error.strerror}; waiting."
        if sentence not in complained:
            complained.add(sentence)
            warn(sentence)

    while True:
        began = monotonic()
        ready = _ready(waiting, _look(folder, leave_out, failed), journal, pace, began, folder)
        looked = monotonic() - began
        yield from _inspect(inspector, folder, ready[:AT_ONCE], waiting, journal, pace, draw)
        if len(ready) <= AT_ONCE:
            # a look at a very large folder takes long itself: no more than half of the time goes into it
            pause(max(pace.interval, looked))


def _look(folder: str, leave_out: Collection[Path], failed: Callable[[OSError], None]) -> dict[str, FileState]:
    """The photographs of a folder by their paths within it."""
    found, begin = {}, len(folder.rstrip(os.sep)) + 1
    for entry in walk(folder, leave_out, failed):
        if is_photograph(entry.name):
            state = _state(entry.path)
            if state is not None:  # else it was renamed or removed in the meantime
                found[entry.path[begin:].replace(os.sep, "/")] = state
    return found


def _ready(
    waiting: dict[str, _Waiting],
    present: dict[str, FileState],
    journal: Journal,
    pace: Pace,
    now: float,
    folder: str,
) -> list[str]:
    """Files that have rested long enough, the oldest first; ``waiting`` is brought up to date."""
    ready = []
    for path in waiting.keys() - present.keys():
        del waiting[path]
    for path, state in present.items():
        if journal.holds(path, state, folder):
            waiting.pop(path, None)
            continue
        if path not in waiting or waiting[path].state != state:
            waiting[path] = _Waiting(state, now)
        rested = now - waiting[path].since
        if rested >= (pace.give_up if waiting[path].tried else pace.settle):
            ready.append(path)
    return sorted(ready, key=lambda path: (waiting[path].state.mtime_ns, path))


def _inspect(
    inspector: "Inspector",
    folder: str,
    ready: list[str],
    waiting: dict[str, _Waiting],
    journal: Journal,
    pace: Pace,
    draw: "Callable[[Inspection, list[Region]], None]",
) -> Iterator[Row]:
    new = [path for path in ready if not journal.holds_content(path, waiting[path].state, folder)]
    places = [str(Path(folder, path)) for path in new]
    inspected: Iterator[Any] = inspector.inspect_many(places)
    for path, place, found in zip(new, places, inspected, strict=True):
        seen, reason = waiting[path], getattr(found, "reason", None)
        rested = monotonic() - seen.since
        digest = _digest(place)
        if _state(place) != seen.state:  # what was looked at is no longer what is there: written on, or renamed
            continue
        if reason is not None and rested < pace.give_up:
            seen.tried = True
            continue
        if reason is not None:
            row = failed_row(path, reason)
        else:
            regions = inspector.regions(found)
            draw(found, regions)
            row = row_of(found, inspector.answers, regions) | {"path": path}
        journal.add(row, path, seen.state, digest)
        yield row


def _digest(path: str | Path) -> str:
    """The hash of a file, empty where it cannot be read."""
    try:
        return sha256(path)
    except OSError:
        return ""
