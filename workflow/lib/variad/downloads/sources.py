"""A published file: where it is, what it has to be, what it may be used for, and how to get it."""

import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from variad.downloads.fetching import Fetched, fetch
from variad.downloads.recording import fetch_recorded
from variad.downloads.retrying import Patience
from variad.downloads.verification import Expected
from variad.files import writing

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A file that its publisher serves.

    Attributes:
        file_name: the name it gets here.
        expected: what its publisher says of it; without a hash, the first download's is recorded.
        about: bytes, roughly, where the exact size is not published; None where nothing is known.
        licence: in words; None where we know of none, so that the reader has to look at ``home``.
        home: the page that describes it.
        top_folder: the folder that the archive may hold everything in; what is in it is unpacked without it.
        members: names of the files that are wanted of an archive of weights.
    """

    title: str
    url: str
    file_name: str
    home: str
    expected: Expected = field(default_factory=Expected)
    about: int | None = None
    licence: str | None = None
    top_folder: str | None = None
    members: tuple[str, ...] = ()

    @property
    def bytes_about(self) -> int | None:
        """Bytes to download, exact or rough; None where nothing is known."""
        return self.expected.size if self.expected.size is not None else self.about


def fetch_source(source: Source, folder: str | Path, patience: Patience | None = None) -> Fetched:
    """Download a published file into ``folder``, after saying what its licence is.

    Raises:
        UserError: as ``fetch`` and ``fetch_recorded``.
    """
    _log.info("%s", licence_notice(source))
    target = Path(folder) / source.file_name
    if source.expected.hashed:
        return fetch(source.url, target, source.expected, patience)
    return fetch_recorded(source.url, target, patience)


def mirrored(source: Source, url: str | None = None, sha256: str | None = None) -> Source:
    """The same file from another address.

    Args:
        url: None keeps the publisher's.
        sha256: of the file there; None expects what the publisher says.
    """
    expected = source.expected if sha256 is None else Expected(sha256=sha256)
    return replace(source, url=url or source.url, expected=expected)


def licence_notice(source: Source) -> str:
    """What to print before a download: its licence, or that we know of none."""
    licence = f"licence {source.licence}" if source.licence else "we know of no stated licence: ask its publisher"
    return f"{source.title}: {licence} ({source.home})"


def write_fetched(record: str | Path, source: Source, fetched: Fetched) -> None:
    """Note what was downloaded, from where, and on what terms."""
    content = {
        "title": source.title,
        "file": fetched.path.name,
        "url": source.url,
        "sha256": fetched.sha256,
        "size": fetched.size,
        "licence": source.licence,
        "home": source.home,
    }
    with writing(record) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
