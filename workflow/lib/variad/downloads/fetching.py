"""Fetching a file by HTTP: interrupted as often as it may be, complete and verified once it has its name."""

import logging
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from variad.downloads.disk_space import check_space
from variad.downloads.partial_file import PartialFile, partial_file
from variad.downloads.progress import Progress
from variad.downloads.retrying import PROGRESS, Interrupted, Patience, wait
from variad.downloads.transfer import transfer
from variad.downloads.verification import Expected, verify_file
from variad.errors import UserError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """A file that is complete: where it is, its hexadecimal SHA-256 and its bytes."""

    path: Path
    sha256: str
    size: int


def fetch(url: str, target: str | Path, expected: Expected | None = None, patience: Patience | None = None) -> Fetched:
    """Download ``url`` to ``target``, going on where an earlier attempt of this or another process ended.

    Until it is complete and verified, the file is ``<target>.part``. A file that is already at ``target`` is verified
    and kept. Servers that know no ranges, or whose file has changed since, are asked for all of it again.

    Args:
        url: an ``http`` or ``https`` address; redirects are followed.

    Raises:
        UserError: the file is refused (status 4xx), the server fails too often or is not trusted, the disk is full, or
            the size or a hash is not the expected one; then the download is removed.
    """
    expected, patience, path = expected or Expected(), patience or Patience(), Path(target)
    _check_address(url)
    if path.exists():
        return _fetched(path, verify_file(path, expected))
    with partial_file(path, url, expected) as part:
        check_space(path.parent, (expected.size or 0) - part.size, path.name)
        _log.info("%s: downloading %s, %s bytes are there", path.name, url, f"{part.size:,}")
        with Progress(path.name, part.total) as progress:
            _complete(part, url, patience, progress)
        fetched = _fetched(path, part.finish())
    _log.info("%s: %s bytes, sha256 %s", path.name, f"{fetched.size:,}", fetched.sha256)
    return fetched


def _fetched(path: Path, sha256: str) -> Fetched:
    return Fetched(path, sha256, path.stat().st_size)


def _complete(part: PartialFile, url: str, patience: Patience, progress: Progress) -> None:
    failures, furthest = 0, part.size
    while part.total is None or part.size != part.total:
        progress.show(part.size, part.total)
        try:
            return transfer(part, url, patience, progress)
        except Interrupted as fault:
            # A server without ranges starts again each time: only bytes that no attempt reached before are progress.
            failures = 1 if part.size - furthest >= PROGRESS else failures + 1
            furthest = max(furthest, part.size)
            wait(url, fault, failures, patience)
    return None


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{url}: expected an address that begins with http:// or https://, found '{parts.scheme}'.")
