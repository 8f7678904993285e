"""A disk or a memory that has no more to give: one sentence, whichever library met it first.

Python's own errors have a number. h5py, numpy, safetensors and torch raise errors of their own, some with the number in
their text and some without. HDF5 needs more than a sentence: closing a file whose disk is full fails, and the library
then ends the process with a segmentation fault. So it writes through a file object that takes everything, once the disk
has refused something, and says afterwards what was refused.
"""

import errno
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from variad.core.errors import UserError

if TYPE_CHECKING:
    import h5py

# what was found, and what helps
_FAULTS = {
    errno.ENOSPC: "no space left on the disk; make room there",
    errno.EFBIG: "a limit on the size of files; raise it (ulimit -f)",
}
if hasattr(errno, "EDQUOT"):  # not on Windows
    _FAULTS[errno.EDQUOT] = "the quota on the disk used up; make room there"
_TEXTS = {os.strerror(number): number for number in _FAULTS}
# h5py, Rust; the last are numpy and torch, which keep to themselves why less was written than they wanted
_NUMBERED = re.compile(r"(?:errno = |os error |code: )(\d+)")
_UNNUMBERED = re.compile(r"\d+ requested and \d+ written|PytorchStreamWriter failed writing file")
_SOME_FAULT = "a disk that took only a part of it (full, a quota or a limit); make room there"

LARGEST_NOTE = 2**20  # bytes of HDF5's own that it may read again; images are larger together, and it never does

_NO_MEMORY = re.compile(
    r"not enough memory|can't allocate memory|Cannot allocate memory|out of memory|ALLOC_FAILED|std::bad_alloc", re.I
)


def fault_of_disk(error: BaseException) -> str | None:
    """What an error, or one behind it, says of a disk that takes no more, and what helps; None where it is another."""
    for one in _behind(error):
        number = one.errno if isinstance(one, OSError) else None
        if number in _FAULTS:
            return _FAULTS[number]
        text = str(one)
        numbers = {int(found) for found in _NUMBERED.findall(text)}
        numbers |= {number for words, number in _TEXTS.items() if words in text}
        if known := sorted(numbers & _FAULTS.keys()):
            return _FAULTS[known[0]]
        if _UNNUMBERED.search(text):
            return _SOME_FAULT
    return None


def fault_of_memory(error: BaseException) -> str | None:
    """What an error, or one behind it, says of memory that is used up, in its own words; None where it is another."""
    for one in _behind(error):
        # torch's class for a GPU is known by its name, so that nothing loads torch to ask
        named = any(kind.__name__ == "OutOfMemoryError" for kind in type(one).__mro__)
        if isinstance(one, MemoryError) or named or (isinstance(one, OSError) and one.errno == errno.ENOMEM):
            return _first_sentence(one)
        if isinstance(one, RuntimeError) and _NO_MEMORY.search(str(one)):
            return _first_sentence(one)
    return None


def shortage(error: BaseException, who: str) -> str | None:
    """The sentence about a full disk or memory that an error stands for; None where it stands for something else.

    Args:
        who: begins the sentence, where no file is known.
    """
    if fault := fault_of_disk(error):
        where = next((one.filename for one in _behind(error) if isinstance(one, OSError) and one.filename), who)
        return _no_room(os.fsdecode(where) if isinstance(where, str | bytes) else who, fault)
    if found := fault_of_memory(error):
        return f"{who}: expected enough memory, found: {found}; run fewer jobs at once, or where there is more."
    return None


@contextmanager
def room_for(target: str | Path) -> Iterator[None]:
    """Turn what any library says of a disk that takes no more into one sentence about ``target``.

    Raises:
        UserError: the disk is full, a quota is used up, or a file would be larger than files may be.
    """
    try:
        yield
    except UserError:
        raise  # its own sentence is nearer to what happened
    except Exception as error:
        if (fault := fault_of_disk(error)) is None:
            raise
        raise UserError(_no_room(str(target), fault)) from error


def _no_room(where: str, fault: str) -> str:
    return f"{where}: expected room to write, found {fault}, and run the same command again."


def _first_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no memory left"
    return re.split(r"[.;] ", text)[0].rstrip(".")


def _behind(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it was raised from or in the handling of."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


@contextmanager
def new_hdf5(path: str | Path) -> "Iterator[h5py.File]":
    """Give a new HDF5 file, open for writing.

    Raises:
        OSError: the first that the disk raised: when something of the file is next asked for, or at the block's end.
            The file is closed all the same.
    """
    import h5py

    class File(h5py.File):  # type: ignore[misc]
        """Tells of the disk where an error does no harm: not in the midst of HDF5's own work."""

        def __getitem__(self, name: Any) -> Any:
            stream.check()
            return super().__getitem__(name)

        def create_dataset(self, *arguments: Any, **settings: Any) -> h5py.Dataset:
            stream.check()
            return super().create_dataset(*arguments, **settings)

        def create_group(self, *arguments: Any, **settings: Any) -> h5py.Group:
            stream.check()
            return super().create_group(*arguments, **settings)

    with open(path, "w+b", buffering=0) as raw:
        stream = _Stream(raw)
        try:
            with File(stream, "w") as file:
                yield file
        finally:
            stream.check()


class _Stream(io.RawIOBase):
    """A file for HDF5 to write to, which takes everything.

    What the disk refuses is kept as an error to be asked for. HDF5 cannot be told: one that fails while h5py lets go of
    a data set leaves the library in a state in which the next call ends the process. Until it is asked for, HDF5 reads
    back of its own notes what it wrote, so that it can close the file.
    """

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self._error: OSError | None = None
        self._notes: dict[int, bytes] = {}  # by their place in the file

    def check(self) -> None:
        """Raise what the disk has refused."""
        if self._error is not None:
            raise self._error

    def write(self, data: "memoryview") -> int:  # type: ignore[override]
        size, left, place = len(data), memoryview(data), self._raw.tell()
        with self._noting():
            while self._error is None and len(left):
                left = left[self._raw.write(left) :]  # the kernel may take a part
        if self._error is not None and size < LARGEST_NOTE:
            self._notes[place] = bytes(data)
        return size

    def truncate(self, size: int | None = None) -> int:
        with self._noting():
            self._raw.truncate(size)
        return size or 0

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._error = self._error or error

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Fill a buffer, with zeros where there is nothing any more."""
        size, left, place = len(buffer), memoryview(buffer), self._raw.tell()
        while len(left) and (read := self._raw.readinto(left)):
            left = left[read:]
        left[:] = bytes(len(left))
        if place in self._notes:
            note = self._notes[place][:size]
            buffer[: len(note)] = note
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
