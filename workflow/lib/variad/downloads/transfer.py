"""One file from an address: interrupted as often as it may be, complete and verified once it has its name."""

import hashlib
import json
import logging
import os
import random
import re
import shutil
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import requests
import urllib3
from filelock import FileLock, Timeout
from tqdm import tqdm

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.core.shortages import room_for
from variad.downloads.catalogue import Expected

BLOCK = 2**20
BAR: dict[str, Any] = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "disable": None}  # on a terminal
LOG_INTERVAL = 60.0  # seconds
CONNECT_TIMEOUT, READ_TIMEOUT = 20.0, 60.0  # seconds; the latter without a byte
RETRIES = 6  # attempts in a row that may fail without bringing new bytes, after the first
FIRST_WAIT, LONGEST_WAIT = 1.0, 120.0  # seconds; a server that asks for longer is given up
PROGRESS = 2**20  # an attempt that brought so many new bytes was a success: a large file may be interrupted often
PASSING = {408, 425, 429, *range(500, 600)}  # timeout, too early, too many requests, and the server's own faults

_log = logging.getLogger(__name__)


class WrongFile(UserError):
    """A file that is whole and not the expected one."""


class Fetched(NamedTuple):
    """A file that is complete: where it is, its hexadecimal SHA-256 and its bytes."""

    path: Path
    sha256: str
    size: int


def fetch(url: str, target: str | Path, expected: Expected | None = None) -> Fetched:
    """Download ``url`` to ``target``, going on where an earlier attempt of this or another process ended.

    Until it is complete and verified, the file is ``<target>.part``. A file that is already at ``target`` is verified
    and kept. Servers that know no ranges, or whose file has changed since, are asked for all of it again. The address
    is an ``http`` or ``https`` one; redirects are followed.

    Raises:
        UserError: the file is refused (status 4xx), the server fails too often or is not trusted, the disk is full,
            another process fetches it, or the size or a hash is not the expected one; then the download is removed.
    """
    path, expected = Path(target), expected or Expected()
    if not re.match(r"https?://[^/]", url):
        raise UserError(f"{url}: expected an address that begins with http:// or https://, found another.")
    if not path.exists():
        with only_one(path.with_name(f"{path.name}.part")) as part:
            if not path.exists():  # another process may have finished it meanwhile
                return _Transfer(url, path, part, expected).run()
    return Fetched(path, verify_file(path, expected), path.stat().st_size)


def verify_file(path: str | Path, expected: Expected, name: str | None = None) -> str:
    """Compare a file, which the message calls ``name``, with what is expected; gives its SHA-256.

    Raises:
        UserError: no such file; ``WrongFile``: one of another size or hash.
    """
    path, name = Path(path), name or str(path)
    if not path.is_file():
        raise UserError(f"{path}: expected a file, found none.")
    if expected.size not in (None, size := path.stat().st_size):
        raise WrongFile(f"{name}: expected {expected.size:,} bytes, found {size:,}.")
    found = {"sha256": sha256(path)}
    if expected.md5 is not None:
        with open(path, "rb") as stream:
            found["md5"] = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    for kind, digest in found.items():
        wanted = (getattr(expected, kind) or digest).lower()
        if wanted != digest:
            raise WrongFile(f"{name}: expected {kind} {wanted}, found {digest}.")
    return found["sha256"]


@contextmanager
def only_one(path: Path) -> Iterator[Path]:
    """Keep other processes from ``path`` while it is written, by a lock beside it that is void once its process ends.

    Raises:
        UserError: another process has it, or the system refuses to write there: a full or protected disk.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0), room_for(path):
            try:
                yield path
            finally:
                lock.unlink(missing_ok=True)  # while it is held: who locks a file without a name tries again
    except Timeout:
        raise UserError(f"{path}: expected no other process at work on it, found one; wait for that to end.") from None
    except OSError as error:
        if error.errno is None:  # not the system's
            raise
        raise UserError(f"{path}: expected room and permission to write it, found: {error.strerror}.") from error


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise a ``UserError`` where a folder's disk has less than ``needed`` bytes free for what ``purpose`` names."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"{folder}: expected {needed:,} free bytes for {purpose}, found {free:,}.")


class _Transfer:
    """A file on its way: ``<target>.part``, and ``.part.json``, which says of what: address, validator, full size."""

    def __init__(self, url: str, target: Path, part: Path, expected: Expected) -> None:
        self.url, self.target, self.part, self.expected = url, target, part, expected
        self.note = part.with_name(f"{part.name}.json")
        try:
            note = json.loads(self.note.read_text("utf-8"))
            self.validator, self.total = note["validator"], note["total"] if expected.size is None else expected.size
            if note["url"] != url or (self.total is not None and self.size > self.total):
                self._restart()
        except (OSError, ValueError, TypeError, KeyError):  # one that was not written whole says nothing
            self._restart()

    @property
    def size(self) -> int:
        return self.part.stat().st_size

    def _restart(self) -> None:
        self.part.write_bytes(b"")
        self.validator, self.total = None, self.expected.size

    def run(self) -> Fetched:
        """Ask as often as it takes, and give the file its name once it is verified."""
        failures, furthest = 0, self.size
        check_space(self.target.parent, (self.total or 0) - furthest, self.target.name)
        _log.info("%s: downloading %s, %s bytes are there", self.target.name, self.url, f"{furthest:,}")
        with tqdm(initial=furthest, total=self.total, desc=self.target.name, **BAR) as bar:
            while self.total is None or self.size < self.total:
                try:
                    with self._ask() as response:
                        if self._begins(response):
                            self._receive(response, bar)
                    break
                except (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as fault:
                    # A server without ranges starts again each time: only bytes that came for the first time count.
                    failures = 1 if self.size - furthest >= PROGRESS else failures + 1
                    furthest = max(furthest, self.size)
                    sleep(seconds_to_wait(self.url, fault, failures))
        try:
            digest = verify_file(self.part, self.expected, f"{self.target.name} from {self.url}")
        except WrongFile:
            self.part.unlink()
            raise
        finally:
            self.note.unlink(missing_ok=True)
        return Fetched(self.part.replace(self.target), digest, self.target.stat().st_size)

    def _ask(self) -> requests.Response:
        if self.validator is None and not self.expected.hashed:
            self._restart()  # nothing would show that the rest is of another version
        # No compression on the way: the hashes are of the file as it is published, and ranges count its bytes.
        headers = {"Accept-Encoding": "identity"}
        if self.size:
            headers |= {"Range": f"bytes={self.size}-"} | ({"If-Range": self.validator} if self.validator else {})
        return requests.get(self.url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))

    def _begins(self, response: requests.Response) -> bool:
        """Refuse what is not the file, and make the part end where the body begins; False where there is no more."""
        encrypted = [step.url.startswith("https:") for step in [*response.history, response]]
        if encrypted != sorted(encrypted):
            raise UserError(f"{self.url}: expected redirects that stay encrypted, found one to {response.url}.")
        (first, total), validator = content_range(response.headers), validator_of(response.headers)
        if response.status_code == 416 and total == self.size:
            return False
        if response.status_code in (206, 416):
            pairs = (first, self.size), (validator, self.validator), (total, self.total)
            if first is None or any(None not in pair and pair[0] != pair[1] for pair in pairs):
                self._restart()
                raise ConnectionError("a range that does not continue what is there")
        response.raise_for_status()
        # Expired shares and login walls answer with a page and status 200.
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind == "text/html" and self.target.suffix not in (".html", ".htm"):
            raise UserError(f"{self.url}: expected a file for {self.target.name}, found a web page (text/html).")
        if response.status_code == 200:
            self._restart()
            total = response.raw.length_remaining
        elif response.status_code != 206:
            raise UserError(f"{self.url}: expected a file, found HTTP status {response.status_code}.")
        if None not in (total, self.expected.size) and total != self.expected.size:
            raise UserError(f"{self.url}: expected {self.expected.size:,} bytes, found {total:,}.")
        self.validator, self.total = validator or self.validator, self.total if total is None else total
        self.note.write_text(json.dumps({"url": self.url, "validator": self.validator, "total": self.total}), "utf-8")
        return True

    def _receive(self, response: requests.Response, bar: Any) -> None:
        check_space(self.target.parent, (self.total or 0) - self.size, self.target.name)
        bar.total, said = self.total, monotonic()
        with open(self.part, "ab") as stream:
            # read1 hands over what has come, so that an interruption loses nothing that a fuller block waits for.
            while chunk := response.raw.read1(BLOCK, decode_content=False):
                stream.write(chunk)
                stream.flush()
                bar.update(stream.tell() - bar.n)
                if bar.disable and monotonic() - said > LOG_INTERVAL:
                    said, of = monotonic(), "" if self.total is None else f" of {self.total:,}"
                    _log.info("%s: %s%s bytes are there", self.target.name, f"{stream.tell():,}", of)
                if self.total is not None and stream.tell() > self.total:
                    raise UserError(f"{self.url}: expected {self.total:,} bytes, found more.")
            os.fsync(stream.fileno())
        if self.total is not None and self.size < self.total:
            raise ConnectionError(f"an end after {self.size:,} of {self.total:,} bytes")


def seconds_to_wait(url: str, fault: Exception, failures: int) -> float:
    """Seconds after the n-th failure in a row: the server's own wish, else exponential with jitter.

    The jitter keeps jobs that failed together from coming back together; no result depends on it, so it has no seed.

    Raises:
        UserError: a fault that will not pass, the attempts are used up, or the server asks for too long a time.
    """
    cause: BaseException = fault  # the innermost: the outer ones only repeat it with the names of pools and objects
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
    found = (" ".join(str(cause).split()) or type(cause).__name__).rstrip(".")
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise UserError(f"{url}: expected a server with a valid certificate, found: {found}.")
    if isinstance(fault, ValueError | requests.TooManyRedirects):
        raise UserError(f"{url}: expected an address of a file, found: {found}.")
    seconds = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)
    if isinstance(fault, requests.HTTPError) and fault.response is not None:
        found = f"HTTP status {fault.response.status_code} ({fault.response.reason})"
        if fault.response.status_code not in PASSING:
            raise UserError(f"{url}: expected a file, found {found}.")
        with suppress(urllib3.exceptions.InvalidHeader, ValueError):
            seconds = urllib3.Retry().parse_retry_after(fault.response.headers.get("Retry-After", ""))
    if seconds > LONGEST_WAIT:
        raise UserError(f"{url}: expected a file, found {found}, to be retried in {seconds:.0f} s.")
    if failures > RETRIES:
        raise UserError(f"{url}: expected a file, found in {failures} attempts in a row: {found}.")
    _log.info("%s: %s; trying again in %.1f s", url, found, seconds)
    return seconds


def validator_of(headers: Mapping[str, str]) -> str | None:
    """What tells this version of a file from others: a strong ETag, as weak ones allow other bytes, or a date."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """First byte and full size that ``Content-Range`` gives; None where it is not given or makes no sense."""
    found = re.fullmatch(r"\s*bytes\s+(?:([0-9]+)-[0-9]+|\*)/([0-9]+|\*)\s*", headers.get("Content-Range", ""))
    first, total = found.groups() if found else (None, None)
    return (int(first) if first else None), (int(total) if total and total != "*" else None)
