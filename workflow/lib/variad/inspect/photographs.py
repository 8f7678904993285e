"""Which files are meant: photographs that were named, those in folders and in folders of these, and those of patterns.

A file that is named is taken for a photograph whatever it is called; in a folder its suffix tells. Hidden files are
left out, as cameras and copying programs write under such names until a file is whole.
"""

import glob
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from variad.core.images import SUFFIXES

Failure = tuple[str, str]  # a path, and what is wrong with it, in one sentence


@dataclass
class Listing:
    """What PATHs stand for.

    Attributes:
        photographs: paths, each once, in the order they were named; a folder's in the order of their names.
        failures: what could not be found or looked into.
        others: how many files of folders are no photographs by their names, by suffix.
    """

    photographs: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def others_sentence(self) -> str:
        """What was left out of folders, or an empty text."""
        count = sum(self.others.values())
        kinds = ", ".join(f"{number} {suffix or 'without one'}" for suffix, number in self.others.most_common(5))
        more = ", ..." if len(self.others) > 5 else ""
        files = "file was" if count == 1 else "files were"
        return f"{count} {files} not looked at, by the suffix no photograph: {kinds}{more}." if count else ""


def list_photographs(named: Sequence[str], leave_out: Collection[Path] = ()) -> Listing:
    """Look up files, folders and patterns such as ``photos/**/*.png``.

    Args:
        leave_out: folders that are not looked into, as they hold what the inspector itself writes.
    """
    listing, seen = Listing(), set()
    for path, by_name in _expanded(named, listing, leave_out):
        for found in _below(path, listing, leave_out) if os.path.isdir(path) else [path]:  # noqa: PTH112
            if by_name and not is_photograph(found):
                listing.others[Path(found).suffix.lower()] += 1
            elif os.path.normpath(found) not in seen:
                seen.add(os.path.normpath(found))
                listing.photographs.append(found)
    return listing


def is_photograph(path: str) -> bool:
    """Whether a file's suffix is that of an image."""
    return path.lower().endswith(SUFFIXES)


def walk(
    folder: str, leave_out: Collection[Path] = (), failed: Callable[[OSError], None] = lambda error: None
) -> Iterator[os.DirEntry[str]]:
    """Every regular file of a folder and of those in it, by name; links are followed, no folder is entered twice.

    Args:
        failed: is told of folders that cannot be read.
    """
    left_out = {os.path.realpath(path) for path in leave_out}
    entered: set[str] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        real = os.path.realpath(current)
        if real in entered or real in left_out:
            continue
        entered.add(real)
        try:
            with os.scandir(current) as entries:
                visible = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
        except OSError as error:
            failed(error)
            continue
        folders = []
        for entry in visible:
            try:
                if entry.is_dir():
                    folders.append(entry.path)
                elif entry.is_file():
                    yield entry
            except OSError as error:  # a link in a circle
                failed(error)
        waiting += reversed(folders)


def _expanded(named: Sequence[str], listing: Listing, leave_out: Collection[Path]) -> Iterator[tuple[str, bool]]:
    """Paths that exist, and whether their suffix has to say that they are photographs."""
    left_out = [Path(os.path.realpath(folder)) for folder in leave_out]
    for path in named:
        # not a Path's methods, which fail for names that are too long and in folders that may not be entered
        if os.path.isdir(path):  # noqa: PTH112
            yield path, True
        elif os.path.isfile(path):  # noqa: PTH113
            yield path, False
        elif os.path.lexists(path):
            kind = "a link that leads nowhere" if Path(path).is_symlink() else "another kind of file"
            listing.failures.append((path, f"{path}: expected a photograph or a folder of them, found {kind}."))
        elif matches := sorted(glob.glob(path, recursive=True)):  # noqa: PTH207, a Path's wants to know where to begin
            for match in matches:
                if not any(Path(os.path.realpath(match)).is_relative_to(folder) for folder in left_out):
                    yield match, True
        else:
            listing.failures.append((path, f"{path}: expected a photograph or a folder of them, found nothing."))


def _below(folder: str, listing: Listing, leave_out: Collection[Path]) -> Iterator[str]:
    def failed(error: OSError) -> None:
        where = str(error.filename or folder)
        listing.failures.append((where, f"{where}: expected a folder that can be read, found: {error.strerror}."))

    for entry in walk(folder, leave_out, failed):
        yield entry.path
