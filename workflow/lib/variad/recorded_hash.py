"""The hash of a downloaded file, noted beside it on its first download, so that a change is seen later."""

import json
from pathlib import Path

from variad.errors import UserError
from variad.files import sha256, writing


def record_path(target: str | Path) -> Path:
    """Where the hash of ``target`` is recorded: ``<target>.sha256.json`` beside it."""
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
