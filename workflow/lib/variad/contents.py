"""Folders with many files as one output: a list of their contents that stands only while all of them are there.

Snakemake tracks files that it can name before anything runs. What a folder of models or maps will hold is known only
afterwards, so a rule declares ``contents.txt`` in it, written last, as its output.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from variad.errors import UserError
from variad.files import writing

NAME = "contents.txt"


@contextmanager
def filling(contents: str | Path) -> Iterator[Path]:
    """Give the emptied folder of a ``contents.txt`` to fill; the list is written when the block ends well.

    Raises:
        UserError: the path leads through ``..``, or to the working directory or one above it, so that more would be
            emptied than the folder that it names.
    """
    folder = Path(contents).parent
    if ".." in folder.parts or Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(f"{contents}: expected a file in a folder of its own, without '..', found another.")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    yield folder
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with writing(contents) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), "utf-8")


def incomplete_lists(folders: Iterable[str | Path]) -> list[Path]:
    """Every ``contents.txt`` that lists a file that is gone.

    Args:
        folders: to look through, with all that lies below them.
    """
    lists = [path for folder in folders for path in Path(folder).rglob(NAME)]
    return [path for path in lists if not all((path.parent / name).is_file() for name in _names(path))]


def _names(contents: Path) -> list[str]:
    # not splitlines, nor a text file's universal newlines: names may hold what those take for the end of a line
    return [name for name in contents.read_bytes().decode("utf-8", "surrogateescape").split("\n") if name]
