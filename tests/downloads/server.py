"""A web server on a free port of this machine that serves bytes well, and badly where a test asks for it."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Published:
    """A file on the server; ``faults`` are used up one a request."""

    content: bytes
    etag: str | None = '"first"'
    last_modified: str | None = None
    ranges: bool = True
    length: bool = True
    kind: str = "application/octet-stream"
    faults: list["Fault"] = field(default_factory=list)


@dataclass
class Fault:
    """What goes wrong in one answer: another status, an end after ``drop`` bytes, a reset of the connection, a pause
    before the answer or, as ``stall``, after the body."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: int | None = None
    reset: bool = False
    pause: float = 0.0
    stall: float = 0.0
    first_byte: int | None = None  # of Content-Range, where it is a lie


@dataclass
class Answer:
    """What was asked and answered: bytes of the body that were sent."""

    path: str
    asked_range: str | None
    asked_encoding: str | None
    asked_condition: str | None
    status: int
    sent: int


class FileServer(ThreadingHTTPServer):
    """Serves ``files`` by path and notes its ``answers``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Published] = {}
        self.answers: list[Answer] = []
        self.stopping = threading.Event()

    def publish(self, path: str, content: bytes, *faults: Fault, **settings) -> str:
        """Serve ``content`` and give its address."""
        self.files[path] = Published(content, faults=list(faults), **settings)
        return self.url(path)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    @property
    def sent(self) -> int:
        """Bytes of bodies in all answers together."""
        return sum(answer.sent for answer in self.answers)

    def handle_error(self, request, client_address) -> None:
        """Say nothing: clients that hang up are part of the tests."""


@contextmanager
def serving() -> Iterator[FileServer]:
    """A server that runs, in a thread of this process."""
    started = FileServer()
    thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield started
    finally:
        started.stopping.set()
        started.shutdown()
        started.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        file = self.server.files.get(self.path)
        if file is None:
            return self._finish(404, {"Content-Length": "0"}, b"")
        fault = file.faults.pop(0) if file.faults else Fault()
        self.server.stopping.wait(fault.pause)
        if fault.status is not None:
            return self._finish(fault.status, {"Content-Length": "0", **fault.headers}, b"")
        status, start = self._start(file)
        if status == 416:
            return self._finish(416, {"Content-Range": f"bytes */{len(file.content)}", "Content-Length": "0"}, b"")
        headers = self._headers(file, status, start if fault.first_byte is None else fault.first_byte)
        end = None if fault.drop is None else max(start, fault.drop)
        return self._finish(status, headers | fault.headers, file.content[start:end], fault)

    def _start(self, file: Published) -> tuple[int, int]:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not asked or not file.ranges or condition not in (None, file.etag, file.last_modified):
            return 200, 0
        start = int(asked[1])
        return (206, start) if start < len(file.content) else (416, 0)

    def _headers(self, file: Published, status: int, start: int) -> dict[str, str]:
        total = len(file.content)
        headers = {"Content-Type": file.kind}
        if file.length:
            headers["Content-Length"] = str(total - start)
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        if file.etag:
            headers["ETag"] = file.etag
        if file.last_modified:
            headers["Last-Modified"] = file.last_modified
        return headers

    def _finish(self, status: int, headers: dict[str, str], body: bytes, fault: Fault | None = None) -> None:
        asked = (self.headers.get("Range"), self.headers.get("Accept-Encoding"), self.headers.get("If-Range"))
        self.server.answers.append(Answer(self.path, *asked, status, len(body)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True
        self.server.stopping.wait(fault.stall if fault else 0)
        if fault and fault.reset:  # lingering for no time drops what is under way and tells the client so
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
