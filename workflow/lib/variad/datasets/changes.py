"""Whether a user's files are those that were listed: by size and times, and by hash where these moved.

Snakemake compares times alone: it sees neither an older file in place of a newer one, nor another file behind a link.
So listing a split has a parameter that changes where the content of a file does, and with nothing else. Read while
Snakemake parses: thousands of files cost a fraction of a second, and neither torch nor pandas is imported.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from variad.core.checksums import damages_of, write_checksums
from variad.core.errors import UserError
from variad.core.files import sha256, writing
from variad.core.images import SUFFIXES
from variad.datasets.folder_names import CLUTTER

Stamp = list[int]  # size in bytes, and the times of the last change of content and of anything, nanoseconds


class KnownFiles:
    """What ``files.json`` of a split says: its version, and the stamp and hash of every file that it was listed from.

    One that is missing or damaged knows nothing. Files are named from the data set's ``root`` on, so that
    a folder that moves stays what it was.
    """

    def __init__(self, record: str | Path, root: str | Path | None = None) -> None:
        self._record, self._root = Path(record), root
        try:
            if damages_of(self._record):
                raise ValueError
            content = json.loads(self._record.read_text("utf-8"))
            self.version = str(content["version"])
            self._files = {str(Path(root or "", name)): known for name, known in content["files"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, UserError):
            self.version, self._files = "", {}

    def sha256(self, path: Path) -> str:
        """Hash of a file; the one that is known where its stamp has not moved."""
        known: list[Any] | None = self._files.get(str(path))
        return str(known[3]) if known is not None and known[3] and known[:3] == stamp(path) else sha256(path)

    def is_still(self, stamps: Mapping[str, Stamp]) -> bool:
        """Whether these are the files that are known, with the content that they had."""
        try:
            return self._files.keys() == stamps.keys() and all(
                known[:3] == stamps[name] or (known[0] == stamps[name][0] and sha256(name) == known[3])
                for name, known in self._files.items()
            )
        except OSError:  # whoever lists the files says that one cannot be read
            return False

    def note(self, stamps: Mapping[str, Stamp]) -> None:
        """Take down stamps that moved while contents stayed, so that the next look need not hash them again.

        Raises:
            UserError: the record cannot be written.
        """
        if any(known[:3] != stamps[name] for name, known in self._files.items()):
            hashes = {name: str(known[3]) for name, known in self._files.items()}
            write_known_files(self._record, self.version, stamps, hashes, self._root)
            write_checksums(self._record)


def stamp(path: str | Path) -> Stamp:
    """Size and times of a file, or of the one that a link leads to."""
    found = Path(path).stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def stamps_of(paths: Iterable[str | Path], images_alone: bool = False) -> dict[str, Stamp]:
    """Stamps of files, and of all files in folders and below, sorted by path.

    Hidden ones are passed over, and what is gone, also while this looks, or cannot be looked into. Links to folders are
    followed, but not in circles.

    Args:
        images_alone: pass over what is neither image nor mask by its name, or lies in a folder of the system.
    """
    found = {}
    for name in sorted({str(file) for path in paths for file in _files(Path(path), (), images_alone)}):
        with suppress(OSError):
            found[name] = stamp(name)
    return found


def _files(path: Path, above: tuple[Path, ...], images_alone: bool) -> Iterator[Path]:
    left_out = CLUTTER if images_alone else ()
    try:
        if not path.is_dir():
            if path.is_file() and (path.suffix.lower() in SUFFIXES or not images_alone):
                yield path
            return
        real = path.resolve()
        inside = list(path.iterdir()) if real not in above else []
    except OSError:
        return
    for one in inside:
        if one.name[0] != "." and one.name.lower() not in left_out:
            yield from _files(one, (*above, real), images_alone)


def version_of(
    record: str | Path, stamps: Mapping[str, Stamp], root: str | Path | None = None, note: bool = False
) -> str:
    """A text that is another one when the content of a file is, or a file came or went; else the recorded one.

    Args:
        note: take down times that moved while contents stayed, where the record can be written.
    """
    known = KnownFiles(record, root)
    if not known.is_still(stamps):
        return hashlib.sha256(json.dumps(_from(root, stamps)).encode()).hexdigest()
    if note:
        with suppress(UserError):
            known.note(stamps)
    return known.version


def hashes_of(known: KnownFiles, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 by path; empty where a file is gone by now or cannot be read, which is for those to say who need it."""
    found = dict.fromkeys(names, "")
    for name in found:
        with suppress(OSError):
            found[name] = known.sha256(Path(name))
    return found


def write_known_files(
    record: str | Path,
    version: str,
    stamps: Mapping[str, Stamp],
    hashes: Mapping[str, str],
    root: str | Path | None = None,
) -> None:
    """Note what a split was listed from.

    Args:
        hashes: SHA-256 by path, for every path of ``stamps``.
        root: of the data set; None for files that are none of a data set's.
    """
    files = _from(root, {name: [*values, hashes[name]] for name, values in stamps.items()})
    with writing(record) as temporary:
        temporary.write_text(json.dumps({"version": version, "files": files}) + "\n", "utf-8")


def _from(root: str | Path | None, named: Mapping[str, Any]) -> dict[str, Any]:
    """The same by names from the root on."""
    return dict(named) if root is None else {str(Path(name).relative_to(root)): value for name, value in named.items()}
