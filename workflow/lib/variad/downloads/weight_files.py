"""Files of weights: as they are published, or out of an archive, with their hash noted beside them."""

import tempfile
from pathlib import Path

from variad.downloads.extraction import extract
from variad.downloads.retrying import Patience
from variad.downloads.sources import Source, fetch_source
from variad.errors import UserError
from variad.files import sha256
from variad.recorded_hash import write_record


def fetch_weights(
    source: Source, target: Path, archives: Path, keep_archive: bool = True, patience: Patience | None = None
) -> None:
    """Get a file of weights and note its hash, which whoever loads it compares with.

    Args:
        target: the file to make; its name is the source's, or one of its members'.
        archives: folder of the archive where the weights come in one.
        keep_archive: whether that stays after a success.

    Raises:
        UserError: as ``fetch_source`` and ``extract``, or the archive has not one such member.
    """
    if not source.members:
        fetched = fetch_source(source, target.parent, patience)
        write_record(target, source.url, fetched.sha256, fetched.size)
        return
    archive = archives / source.file_name
    fetch_source(source, archives, patience)
    _take_out(archive, target)
    write_record(target, source.url, sha256(target), target.stat().st_size)
    if not keep_archive:
        archive.unlink()


def _take_out(archive: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}.") as scratch:
        extract(archive, Path(scratch) / "all")
        found = [path for path in Path(scratch).rglob(target.name) if path.is_file() and not path.is_symlink()]
        if len(found) != 1:
            raise UserError(f"{archive}: expected one file '{target.name}' in it, found {len(found)}.")
        found[0].replace(target)
