"""Files whose publisher gives no hash: theirs is recorded on the first download, and a changed file refused later."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from variad.downloads.fetching import Fetched, fetch
from variad.downloads.retrying import Patience
from variad.downloads.verification import Expected, WrongFile, verify_file
from variad.errors import UserError
from variad.files import writing

_log = logging.getLogger(__name__)


def record_path(target: str | Path) -> Path:
    """Where the hash of ``target`` is recorded: ``<target>.sha256.json`` beside it."""
    path = Path(target)
    return path.with_name(f"{path.name}.sha256.json")


def fetch_recorded(url: str, target: str | Path, patience: Patience | None = None) -> Fetched:
    """Download as ``fetch`` does, against the recorded hash if there is one, else recording it.

    Raises:
        UserError: as ``fetch``; or the file is not the one that was recorded.
    """
    record = record_path(target)
    if record.exists():
        with _change_named(record):
            return fetch(url, target, Expected(sha256=_read(record)), patience)
    fetched = fetch(url, target, None, patience)
    _write(record, url, fetched)
    _log.info("%s: its publisher gives no hash; sha256 %s recorded in %s", target, fetched.sha256, record)
    return fetched


def verify_recorded(target: str | Path) -> str:
    """Compare a downloaded file with its record, and give its SHA-256.

    Raises:
        UserError: no file, no record, or a file that changed since it was recorded.
    """
    record = record_path(target)
    with _change_named(record):
        return verify_file(target, Expected(sha256=_read(record)))


@contextmanager
def _change_named(record: Path) -> Iterator[None]:
    try:
        yield
    except WrongFile as error:
        reason = str(error).removesuffix(".")
        raise WrongFile(f"{reason}; it changed since {record} was written (delete that to accept it).") from None


def _write(record: Path, url: str, fetched: Fetched) -> None:
    content = {"file": fetched.path.name, "url": url, "sha256": fetched.sha256, "size": fetched.size}
    with writing(record) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read(record: Path) -> str:
    try:
        recorded = str(json.loads(record.read_text(encoding="utf-8"))["sha256"])
        return Expected(sha256=recorded).sha256 or recorded
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(f"{record}: expected a recorded sha256 of 64 hexadecimal digits, found none.") from error
