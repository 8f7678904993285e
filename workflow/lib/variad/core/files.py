"""Files that are complete if they exist: written beside and renamed, folders as one output, known by their hash.

Snakemake tracks files that it can name before anything runs. What a folder of models or maps will hold is known only
afterwards, so a rule declares ``contents.txt`` in it as its output: a list of its contents, written last, that stands
only while all of them are there.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from variad.core.errors import UserError
from variad.core.shortages import fault_of_disk, room_for
from variad.core.temporaries import prefix_of

CONTENTS = "contents.txt"
CHECKSUMS = ".sha256"  # ends the name of a record of checksums (variad.core.checksums)


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it to ``path`` when the block ends without an error.

    Raises:
        UserError: the folder cannot be created or written to, or the disk takes no more; nothing is left then.
    """
    target = Path(path)
    with room_for(target):
        with _beside(target):
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix_of(target), suffix=target.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            with suppress(OSError):  # too long a name; where nothing can be deleted the next line fails as well
                checksums_path(target).unlink()  # it is of the file before
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(beside: str | Path) -> Iterator[Path]:
    """Give an empty folder beside a path, on the same disk; it goes when the block ends, with what is left in it.

    Raises:
        UserError: as ``writing``.
    """
    target = Path(beside)
    with room_for(target):
        with _beside(target):
            folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix_of(target)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _beside(target: Path) -> Iterator[None]:
    """Make the folder of a target; who cannot, or cannot write to it, learns which folder that is."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if fault_of_disk(error):
            raise
        raise UserError(
            f"{target.parent}: expected a folder that can be written to, found: {error.strerror}."
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in one go."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def checksums_path(output: str | Path) -> Path:
    """Where the checksum of an output is recorded."""
    path = Path(output)
    return path.with_name(f".{path.name}{CHECKSUMS}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def package_folder(package: str, what: str, name: str | None = None) -> Path:
    """The folder of an installed package, found without importing it.

    Args:
        what: begins the message.
        name: what the package is called where it is installed from, if not as it is imported.

    Raises:
        UserError: it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{what}: expected the package {name or package} to be installed, found none.")
    return Path(spec.submodule_search_locations[0])


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


@contextmanager
def filling(contents: str | Path) -> Iterator[Path]:
    """Give the emptied folder of a ``contents.txt`` to fill; the list is written when the block ends well.

    The folder goes if it does not end well: what a full disk holds of it would be in the way of the next attempt.

    Raises:
        UserError: the disk takes no more; or the path leads through ``..``, or to the working directory or one above
            it, so that more would be emptied than the folder that it names.
    """
    folder = Path(contents).parent
    if ".." in folder.parts or Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(f"{contents}: expected a file in a folder of its own, without '..', found another.")
    if folder.exists():
        shutil.rmtree(folder)
    try:
        with room_for(folder):
            folder.mkdir(parents=True)
            yield folder
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        with writing(contents) as temporary:
            temporary.write_text("".join(f"{name}\n" for name in names), "utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def incomplete_lists(folders: Iterable[str | Path]) -> list[Path]:
    """Every ``contents.txt`` that lists a file that is gone.

    Args:
        folders: to look through, with all that lies below them.
    """
    return [path for folder in folders for path in _incomplete_below(str(folder))]


def _incomplete_below(folder: str) -> Iterator[Path]:
    # a look into every folder in place of one at every file: a large study has millions of maps
    files = {inside: set(names) for inside, _, names in os.walk(folder)}
    for inside, names in files.items():
        if CONTENTS in names and not all(
            _is_among(files, f"{inside}/{name}") for name in listed_names(Path(inside, CONTENTS))
        ):
            yield Path(inside, CONTENTS)


def _is_among(files: Mapping[str, Collection[str]], path: str) -> bool:
    """Whether a file is in one of the folders that were looked into; one behind a link to a folder is looked at."""
    folder, _, name = path.rpartition("/")
    return name in files[folder] if folder in files else Path(path).is_file()


def listed_names(contents: Path) -> list[str]:
    """The files that a ``contents.txt`` lists, from its folder on."""
    # not splitlines, nor a text file's universal newlines: names may hold what those take for the end of a line
    return [name for name in contents.read_bytes().decode("utf-8", "surrogateescape").split("\n") if name]


def record_path(target: str | Path) -> Path:
    """Where the hash of a downloaded file is noted the first time, so that a change is seen later."""
    path = Path(target)
    return path.with_name(f"{path.name}.sha256.json")


def write_record(target: str | Path, url: str, digest: str, size: int) -> Path:
    """Note what ``target`` is and where it came from; gives the path of the record."""
    record = record_path(target)
    content = {"file": Path(target).name, "url": url, "sha256": digest, "size": size}
    with writing(record) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return record


def recorded_hash(target: str | Path) -> str | None:
    """The SHA-256 that was noted for ``target``; None where nothing was.

    Raises:
        UserError: a record without a hash.
    """
    record = record_path(target)
    if not record.exists():
        return None
    try:
        recorded = str(json.loads(record.read_text(encoding="utf-8"))["sha256"])
        int(recorded, 16)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_hash(record) from error
    if len(recorded) != 64:
        raise _no_hash(record)
    return recorded


def verify_recorded(target: str | Path) -> None:
    """Compare a file with its record, where there is one.

    Raises:
        UserError: it changed since it was recorded, or the record holds no hash.
    """
    recorded = recorded_hash(target)
    if recorded is not None and (found := sha256(target)) != recorded:
        raise UserError(f"{target}: expected sha256 {recorded}, found {found}; {change_of(target)}.")


def change_of(target: str | Path) -> str:
    """What a message adds for a file that is not the recorded one."""
    return f"it changed since {record_path(target)} was written (delete that to accept it)"


def _no_hash(record: Path) -> UserError:
    return UserError(f"{record}: expected a recorded sha256 of 64 hexadecimal digits, found none.")
