"""When to try again, and how long to wait before it."""

import logging
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import sleep

from variad.errors import UserError

# timeout, too early, too many, and every fault of the server's
PASSING = {408, 425, 429}
# An attempt that brought this many new bytes was a success, so that a large file survives any number of interruptions.
PROGRESS = 2**20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server.

    Attributes:
        retries: attempts in a row that may fail without bringing new bytes, after the first.
        connect_timeout: seconds to reach the server.
        read_timeout: seconds without a byte.
        first_wait: seconds before the second attempt; doubled after each.
        longest_wait: seconds; a server that asks for more is given up.
    """

    retries: int = 6
    connect_timeout: float = 20.0
    read_timeout: float = 60.0
    first_wait: float = 1.0
    longest_wait: float = 120.0


class Interrupted(Exception):
    """A fault that may pass: ``reason`` in words, and the seconds after which the server asks to come back."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


def passing(status: int) -> bool:
    """Whether an HTTP status may be another one later."""
    return status in PASSING or 500 <= status <= 599


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a ``Retry-After`` header, given as seconds or as a date; None without a readable one."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def wait(url: str, fault: Interrupted, failures: int, patience: Patience) -> None:
    """Wait before attempt ``failures + 1``: the server's own time, else exponential with jitter.

    Raises:
        UserError: the attempts are used up, or the server asks for more time than ``longest_wait``.
    """
    if failures > patience.retries:
        raise UserError(f"{url}: expected a file, found in {failures} attempts in a row: {fault.reason}.")
    if fault.retry_after is not None and fault.retry_after > patience.longest_wait:
        raise UserError(f"{url}: expected a file, found {fault.reason}, to be retried in {fault.retry_after:.0f} s.")
    seconds = fault.retry_after if fault.retry_after is not None else backoff(failures, patience)
    _log.info("%s: %s; trying again in %.1f s", url, fault.reason, seconds)
    sleep(seconds)


def backoff(failures: int, patience: Patience) -> float:
    """Seconds after the n-th failure in a row: between half and all of ``first_wait`` times 2 to the n - 1.

    The jitter keeps jobs that failed together from coming back together; no result depends on it, so it has no seed.
    """
    ceiling = min(patience.longest_wait, patience.first_wait * 2.0 ** (failures - 1))
    return ceiling * random.uniform(0.5, 1.0)
