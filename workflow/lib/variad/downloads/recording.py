"""Files whose publisher gives no hash: theirs is recorded on the first download, and a changed file refused later."""

import logging
from pathlib import Path

from variad.downloads.fetching import Fetched, fetch
from variad.downloads.retrying import Patience
from variad.downloads.verification import Expected, WrongFile
from variad.recorded_hash import change_of, recorded_hash, write_record

_log = logging.getLogger(__name__)


def fetch_recorded(url: str, target: str | Path, patience: Patience | None = None) -> Fetched:
    """Download as ``fetch`` does, against the recorded hash if there is one, else recording it.

    Raises:
        UserError: as ``fetch``; or the file is not the one that was recorded.
    """
    recorded = recorded_hash(target)
    if recorded is not None:
        try:
            return fetch(url, target, Expected(sha256=recorded), patience)
        except WrongFile as error:
            raise WrongFile(f"{str(error).removesuffix('.')}; {change_of(target)}.") from None
    fetched = fetch(url, target, None, patience)
    record = write_record(target, url, fetched.sha256, fetched.size)
    _log.info("%s: its publisher gives no hash; sha256 %s recorded in %s", target, fetched.sha256, record)
    return fetched
