"""A page to look at single photographs: one is dropped on it, and its score, answer, map and regions are shown.

It is served to this machine alone, unless another address is asked for. A photograph is a temporary file for as long as
it is inspected, one at a time; what stays, in memory, is a small picture and a small map of each of the last hundred.

A web page of somebody else's must not get at it, neither through the user's browser nor by a name that leads to this
machine (DNS rebinding): a request has to call the machine by its own name, and an upload to come from the page itself.
What is served are the files below ``/assets`` and results by number; no path in a request is ever one on the disk.
"""

import ipaddress
import json
import logging
import re
import socket
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

from variad.core.errors import UserError
from variad.core.shortages import room_for
from variad.inspect.examiner import KEPT, Examiner
from variad.report.markup import ASSETS as REPORT_ASSETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from variad.inspect.inspector import Inspector

HOST, PORT = "127.0.0.1", 8765
LARGEST_UPLOAD = 64 * 2**20  # bytes
CONNECTIONS = 64  # at once; more are closed
UPLOADS = 4  # that may wait as files for their turn
QUIET, WHOLE = 30.0, 120.0  # seconds: without a byte from the other side, and for all of an upload
PATIENCE = 5.0  # seconds, with an inspection that is at work at Ctrl-C
LONGEST_NAME = 200  # characters
ASSETS = Path(__file__).resolve().parent / "assets"
PAGE = "inspect.html"
FILES = {
    PAGE: (ASSETS, "text/html; charset=utf-8"),
    "inspect.css": (ASSETS, "text/css; charset=utf-8"),
    "inspect.js": (ASSETS, "text/javascript; charset=utf-8"),
    "gallery.css": (REPORT_ASSETS, "text/css; charset=utf-8"),
    "dom.js": (REPORT_ASSETS, "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Connection": "close",
}
_CHUNK = 2**16  # bytes
_PICTURE = re.compile(r"/results/([0-9]{1,9})/(photo\.jpg|map\.png)")
_HOST = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([^:/?#@\[\]\s]+)(?::[0-9]{1,5})?")
_log = logging.getLogger(__name__)


class _Refused(Exception):
    """A request that is not answered as it was asked: a status, and why in one sentence."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class InspectionServer(ThreadingHTTPServer):
    """Serves the page of an inspector; bound when it is made, at work by ``serve_forever``.

    Attributes:
        examiner: what inspects and keeps.
        largest: bytes of an upload, at most.
    """

    daemon_threads = True  # Ctrl-C waits for nobody
    request_queue_size = 64

    def __init__(self, inspector: "Inspector", host: str = HOST, port: int = PORT) -> None:
        """
        Args:
            host: an address or a name of this machine; port: 0 takes a free one.

        Raises:
            UserError: the address is not this machine's, or its port is taken or not allowed.
        """
        self.examiner = Examiner(inspector)
        self.largest = LARGEST_UPLOAD
        self.uploads = threading.BoundedSemaphore(UPLOADS)
        self._connections = threading.BoundedSemaphore(CONNECTIONS)
        self.host, self.is_local = host, is_loopback(host)
        self.files = {name: (folder / name).read_bytes() for name, (folder, _) in FILES.items()}
        self.folder = tempfile.TemporaryDirectory(prefix="variad-inspect-", ignore_cleanup_errors=True)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except OverflowError as error:
            raise UserError(f"--port: expected a number from 0 to 65535, found {port}.") from error
        except OSError as error:
            where, reason = f"{host}, port {port}", error.strerror or error
            raise UserError(f"--serve: expected an address that is free ({where}), found: {reason}.") from error

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{name}]' if ':' in name else name}:{self.server_address[1]}/"

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, which may be out of reach."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    def server_close(self) -> None:
        """Free the port, and remove what is not inspected yet."""
        super().server_close()
        self.folder.cleanup()

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for each connection, as long as there are not too many."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Of such a thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def is_called(self, host: str) -> bool:
        """Whether a request's header ``Host`` is a name of this machine."""
        parts = _HOST.fullmatch(host)
        if parts is None:
            return False
        name = (parts[1] or parts[2]).lower()
        if is_loopback(name) or name == self.host.lower():
            return True
        return not self.is_local and (_is_address(name) or name == socket.gethostname().lower())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, but not that somebody closed a window."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            _log.error("A request failed.", exc_info=True)

    def about(self) -> dict[str, Any]:
        """What the page says of the bundle, and what is kept."""
        inspector = self.examiner.inspector
        bundle, answers = inspector.bundle, inspector.answers
        return {
            "product": bundle.product,
            "class_name": bundle.class_name,
            "method": bundle.method,
            "promise": answers.promise(),
            "look": answers.look,
            "bad": answers.bad,
            "scale": self.examiner.scale,
            "largest": self.largest,
            "kept": KEPT,
            "results": self.examiner.last(),
        }


class _Handler(BaseHTTPRequestHandler):
    server: InspectionServer
    timeout = QUIET
    server_version, sys_version = "Variad", ""

    def do_GET(self) -> None:
        with self._answering():
            path = self.path.partition("?")[0]
            name = PAGE if path == "/" else path.removeprefix("/assets/")
            if path == "/results":
                self._say(HTTPStatus.OK, self.server.about())
            elif (wanted := _PICTURE.fullmatch(path)) is not None:
                self._send_picture(int(wanted[1]), wanted[2])
            elif name in self.server.files:
                self._send(HTTPStatus.OK, FILES[name][1], self.server.files[name])
            else:
                raise _Refused(HTTPStatus.NOT_FOUND, "There is no such page.")

    def do_POST(self) -> None:
        with self._answering():
            if self.path != "/inspect":
                raise _Refused(HTTPStatus.NOT_FOUND, "There is no such page.")
            origin = self.headers.get("Origin")
            if origin is not None and origin != f"http://{self.headers['Host']}":
                raise _Refused(HTTPStatus.FORBIDDEN, f"Expected an upload by this page, found one by {origin}.")
            if "X-File-Name" not in self.headers:  # which a form of another page cannot send
                raise _Refused(HTTPStatus.BAD_REQUEST, "Expected the header X-File-Name, found none.")
            name = file_name(self.headers["X-File-Name"])
            length = self._length(name)
            if not self.server.uploads.acquire(timeout=WHOLE):
                raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "Too many photographs are waiting.")
            try:
                folder = self.server.folder.name
                with room_for(folder), tempfile.NamedTemporaryFile(dir=folder) as file:
                    self._receive(file, length)
                    kept = self.server.examiner.examine(file.name, name)
            except UserError as error:
                raise _Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
            finally:
                self.server.uploads.release()
            self._say(HTTPStatus.OK, kept.facts)

    @contextmanager
    def _answering(self) -> "Iterator[None]":
        try:
            hosts = self.headers.get_all("Host", [])
            if len(hosts) != 1 or not self.server.is_called(hosts[0]):
                expected = "expected a name of this machine in the address, such as localhost"
                raise _Refused(HTTPStatus.MISDIRECTED_REQUEST, f"{expected}, found {hosts or 'none'}.")
            yield
        except _Refused as refusal:
            self._refuse(refusal.status, str(refusal))
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            _log.exception("A photograph could not be inspected.")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "The inspection failed; the terminal says why.")

    def _length(self, name: str) -> int:
        """The length of an upload by its header."""
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or not lengths:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "Expected the header Content-Length, found none.")
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", lengths[0]):
            raise _Refused(HTTPStatus.BAD_REQUEST, f"Expected one number as Content-Length, found {lengths}.")
        if int(lengths[0]) > self.server.largest:
            limit, found = (f"{size / 2**20:,.1f} MiB" for size in (self.server.largest, int(lengths[0])))
            raise _Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{name}: expected a file of at most {limit}, found {found}."
            )
        return int(lengths[0])

    def _receive(self, file: "BinaryIO | Any", length: int) -> None:
        """Write the body to a file, a piece at a time."""
        left, end = length, time.monotonic() + WHOLE
        while left:
            try:
                piece = self.rfile.read1(min(left, _CHUNK))  # type: ignore[attr-defined]
            except TimeoutError:
                piece = None
            if piece is None or time.monotonic() > end:
                raise _Refused(HTTPStatus.REQUEST_TIMEOUT, f"Expected {length:,} bytes sooner, {left:,} are missing.")
            if not piece:
                raise _Refused(HTTPStatus.BAD_REQUEST, f"Expected {length:,} bytes, {left:,} are missing.")
            file.write(piece)
            left -= len(piece)
        file.flush()

    def _send_picture(self, number: int, name: str) -> None:
        kept = self.server.examiner.kept(number)
        if kept is None:
            raise _Refused(HTTPStatus.NOT_FOUND, f"Result {number} is not among the last {KEPT}.")
        if name == "photo.jpg":
            self._send(HTTPStatus.OK, "image/jpeg", kept.photo)
        else:
            self._send(HTTPStatus.OK, "image/png", kept.heat)

    def _refuse(self, status: int, reason: str) -> None:
        self._say(status, {"error": reason})
        # Closed at once, a connection over which bytes still come is reset, and the other side never reads the answer.
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(2)
            left, end = 2 * self.server.largest, time.monotonic() + 10
            while left > 0 and time.monotonic() < end and (piece := self.connection.recv(_CHUNK)):
                left -= len(piece)

    def _say(self, status: int, content: Mapping[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content, allow_nan=False).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in (HEADERS | {"Content-Type": kind, "Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses by itself, such as another method, in our form."""
        self.request_version = "HTTP/1.0"  # of a request that is none it is 0.9, which has no headers
        self._refuse(code, f"Expected a request of this page, found: {message or HTTPStatus(code).phrase}.")

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)


def file_name(header: str) -> str:
    """What a photograph is called, from its percent-encoded name: no folders, no control characters, not too long."""
    name = re.split(r"[/\\]", unquote(header, errors="replace"))[-1]
    printable = "".join(letter for letter in name if letter.isprintable()).strip()
    return printable[:LONGEST_NAME] or "photograph"


def is_loopback(host: str) -> bool:
    """Whether an address or a name is that of this machine for itself."""
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def serve(inspector: "Inspector", host: str = HOST, port: int = PORT) -> None:
    """Serve the page until Ctrl-C, and print its address.

    Args:
        host: any but this machine's for itself is warned of; port: 0 takes a free one.

    Raises:
        UserError: as ``InspectionServer``.
    """
    with InspectionServer(inspector, host, port) as server:
        if not server.is_local:
            who = f"whoever reaches {host} can send photographs and see the last {KEPT} results"
            print(f"Warning: {who}; there is no password and no encryption.", file=sys.stderr)
        print(f"{server.address} (Ctrl-C stops it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            server.examiner.stop(PATIENCE)
