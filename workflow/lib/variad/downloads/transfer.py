"""One HTTP request that brings a partial file nearer to its end."""

import contextlib
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
import urllib3

from variad.downloads.disk_space import check_space
from variad.downloads.partial_file import PartialFile
from variad.downloads.progress import Progress
from variad.downloads.ranges import content_length, content_range, range_headers, validator_of
from variad.downloads.retrying import Interrupted, Patience, passing, retry_after
from variad.downloads.verification import BLOCK
from variad.errors import UserError

MAX_REDIRECTS = 10
PARTIAL, BEYOND_THE_END = 206, 416


def transfer(part: PartialFile, url: str, patience: Patience, progress: Progress) -> None:
    """Ask for what is missing and write it as it comes; without an error the file is complete.

    Raises:
        Interrupted: a fault that may pass.
        UserError: one that does not, or a full disk.
    """
    if part.validator is None and not part.expected.hashed:
        part.restart()  # nothing would show that the rest is of another version
    with requests.Session() as session, _ask(session, part, url, patience) as response:
        if response.status_code == BEYOND_THE_END:
            return _check_the_end(part, response)
        _check_status(url, response)
        _check_kind(part, url, response)
        _place(part, url, response)
        check_space(part.target.parent, (part.total or 0) - part.size, part.target.name)
        return _receive(part, response, progress)


def _ask(session: requests.Session, part: PartialFile, url: str, patience: Patience) -> requests.Response:
    # No compression on the way: the hashes are of the file as it is published, and ranges count its bytes.
    headers = {"Accept-Encoding": "identity", **range_headers(part.size, part.validator)}
    session.max_redirects = MAX_REDIRECTS
    timeouts = (patience.connect_timeout, patience.read_timeout)
    with _faults_named(url):
        response = session.get(url, headers=headers, stream=True, timeout=timeouts)
    schemes = [urlsplit(step.url).scheme for step in [*response.history, response]]
    if "http" in schemes and "https" in schemes[: schemes.index("http")]:
        raise UserError(f"{url}: expected redirects that stay encrypted, found one to {response.url}.")
    return response


def _check_status(url: str, response: requests.Response) -> None:
    status = f"HTTP status {response.status_code} ({response.reason})"
    if passing(response.status_code):
        raise Interrupted(status, retry_after(response.headers.get("Retry-After")))
    if response.status_code not in (requests.codes.ok, PARTIAL):
        raise UserError(f"{url}: expected a file, found {status}.")


def _check_kind(part: PartialFile, url: str, response: requests.Response) -> None:
    # Expired shares and login walls answer with a page and status 200.
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "text/html" and part.target.suffix not in (".html", ".htm"):
        raise UserError(f"{url}: expected a file for {part.target.name}, found a web page (text/html).")


def _place(part: PartialFile, url: str, response: requests.Response) -> None:
    """Make the partial file end where the body of the response begins."""
    validator = validator_of(response.headers)
    if response.status_code == PARTIAL:
        start, total = content_range(response.headers)
        changed = validator != part.validator if validator and part.validator else False
        if start != part.size or changed or (None not in (total, part.total) and total != part.total):
            part.restart()
            raise Interrupted("a range that does not continue what is there")
    else:
        part.restart()
        total = content_length(response.headers)
    if None not in (total, part.expected.size) and total != part.expected.size:
        raise UserError(f"{url}: expected {part.expected.size:,} bytes, found {total:,}.")
    part.describe(validator or part.validator, total)


def _receive(part: PartialFile, response: requests.Response, progress: Progress) -> None:
    with _faults_named(response.url):
        # read1 hands over what has come, so that an interruption loses nothing that a fuller block waits for.
        while chunk := response.raw.read1(BLOCK, decode_content=False):
            part.append(chunk)
            progress.show(part.size, part.total)
            if part.total is not None and part.size > part.total:
                raise UserError(f"{response.url}: expected {part.total:,} bytes, found more.")
    if part.total is not None and part.size < part.total:
        raise Interrupted(f"an end after {part.size:,} of {part.total:,} bytes")


def _check_the_end(part: PartialFile, response: requests.Response) -> None:
    """The server has nothing from here on: either all is there, or what is there is of something else."""
    _, total = content_range(response.headers)
    if total != part.size:
        part.restart()
        raise Interrupted("another file than the one begun")


@contextlib.contextmanager
def _faults_named(url: str) -> Iterator[None]:
    """Sort the errors of the HTTP library into those that may pass and those that will not."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if _untrusted(error):
            raise UserError(f"{url}: expected a server with a valid certificate, found: {_reason(error)}.") from error
        if isinstance(error, ValueError | requests.TooManyRedirects):
            raise UserError(f"{url}: expected an address of a file, found: {_reason(error)}.") from error
        raise Interrupted(f"a lost connection ({_reason(error)})") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _untrusted(error: BaseException) -> bool:
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _reason(error: BaseException) -> str:
    """The innermost error in words: the outer ones only repeat it with the names of pools and objects."""
    *_, cause = _causes(error)
    text = " ".join(str(cause).split()) or type(cause).__name__
    return text.rstrip(".")
