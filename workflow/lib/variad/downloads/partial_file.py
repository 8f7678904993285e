"""A download under way: the bytes that are there, their hashes, and a note of which version they belong to."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from variad.downloads.disk_space import full_disk_named
from variad.downloads.locking import lock
from variad.downloads.verification import BLOCK, Digests, Expected, WrongFile
from variad.errors import UserError


class PartialFile:
    """``<target>.part`` and its note ``<target>.part.json``: address, validator and full size.

    Attributes:
        size: bytes that are there.
        total: bytes that the whole file has, None while unknown.
        validator: ETag or date by which the server tells this version from others, None where it gave none.
    """

    def __init__(self, stream: BinaryIO, target: Path, url: str, expected: Expected) -> None:
        self.target, self.path, self.note = target, part_path(target), note_path(target)
        self.expected = expected
        self.total = expected.size
        self.validator: str | None = None
        self._stream, self._url = stream, url
        self._digests = Digests(with_md5=expected.md5 is not None)
        self._resume()

    @property
    def size(self) -> int:
        return self._digests.size

    def _resume(self) -> None:
        note = _read_note(self.note)
        if note.get("url") != self._url:
            return self.restart()
        self.validator = note.get("validator")
        self.total = self.expected.size if self.expected.size is not None else note.get("total")
        while chunk := self._stream.read(BLOCK):
            self._digests.update(chunk)
        if self.total is not None and self.size > self.total:
            self.restart()
        return None

    def restart(self) -> None:
        """Drop every byte."""
        self._stream.seek(0)
        self._stream.truncate()
        self._digests = Digests(with_md5=self.expected.md5 is not None)
        self.total, self.validator = self.expected.size, None

    def describe(self, validator: str | None, total: int | None) -> None:
        """Note what a server says of the file, so that a later process can go on with it."""
        self.validator = validator
        self.total = total if total is not None else self.total
        note = {"url": self._url, "validator": validator, "total": self.total}
        with full_disk_named(self.note):
            self.note.write_text(json.dumps(note), encoding="utf-8")

    def append(self, chunk: bytes) -> None:
        """Write the next bytes.

        Raises:
            UserError: the disk is full; what is there stays.
        """
        rest = memoryview(chunk)
        with full_disk_named(self.path):
            while rest:
                rest = rest[self._stream.write(rest) :]
        self._digests.update(chunk)

    def finish(self) -> str:
        """Verify the file, give it its name, and return its SHA-256.

        Raises:
            WrongFile: it is not what was expected; what was downloaded is removed.
        """
        try:
            self._digests.verify(self.expected, f"{self.target.name} from {self._url}")
        except WrongFile:
            self.path.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)
            raise
        with full_disk_named(self.path):
            os.fsync(self._stream.fileno())
        self.path.replace(self.target)
        self.note.unlink(missing_ok=True)
        return self._digests.sha256


def part_path(target: Path) -> Path:
    """Where the bytes of ``target`` are until it is complete."""
    return target.with_name(f"{target.name}.part")


def note_path(target: Path) -> Path:
    """Where it is noted what the bytes of ``target`` belong to."""
    return target.with_name(f"{target.name}.part.json")


@contextlib.contextmanager
def partial_file(target: Path, url: str, expected: Expected) -> Iterator[PartialFile]:
    """Open the partial file of ``target``, with what an earlier process left of the same address.

    Raises:
        UserError: its folder cannot be written to, or another process downloads it.
    """
    part = part_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"{part}: expected a file that can be written, found: {error.strerror}.") from error
    with open(descriptor, "r+b", buffering=0) as stream:  # unbuffered: what a full disk did not take is known
        lock(descriptor, part)
        yield PartialFile(stream, target, url, expected)


def _read_note(path: Path) -> dict[str, Any]:
    # A note that was not written whole says nothing, and the download starts again.
    with contextlib.suppress(OSError, ValueError):
        note = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(note, dict) and isinstance(note.get("total"), int | None):
            return note
    return {}
