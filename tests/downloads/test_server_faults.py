"""Servers that redirect, refuse, fail, say nothing or are not who they say."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.downloads.checks import expected_of
from tests.downloads.server import Fault, FileServer
from variad.core.errors import UserError
from variad.downloads.transfer import fetch

pytestmark = pytest.mark.usefixtures("waits")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made by openssl")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_also_when_resuming(
    server: FileServer, content: bytes, tmp_path: Path, status: int
) -> None:
    server.publish("/real", content, Fault(drop=5_000))
    there = Fault(status=status, headers={"Location": "/real"})
    url = server.publish("/a.bin", b"", there, there)
    assert fetch(url, tmp_path / "a.bin", expected_of(content)).path.read_bytes() == content
    assert server.sent == len(content)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/a.bin"])
def test_redirects_elsewhere_are_refused(server: FileServer, tmp_path: Path, location: str) -> None:
    url = server.publish("/a.bin", b"", Fault(status=302, headers={"Location": location}))
    with pytest.raises(UserError, match=r"a\.bin: expected an address of a file, found: .*connection adapters"):
        fetch(url, tmp_path / "a.bin")


def test_redirects_in_a_circle_are_refused(server: FileServer, tmp_path: Path) -> None:
    url = server.publish("/a.bin", b"", *[Fault(status=302, headers={"Location": "/a.bin"})] * 40)
    with pytest.raises(UserError, match="expected an address of a file, found: Exceeded 30 redirects"):
        fetch(url, tmp_path / "a.bin")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_refusals_are_final(server: FileServer, tmp_path: Path, waits: list[float], status: int) -> None:
    url = server.publish("/a.bin", b"", *[Fault(status=status)] * 3)
    with pytest.raises(UserError, match=rf"^{url}: expected a file, found HTTP status {status} \([\w ]+\)\.$"):
        fetch(url, tmp_path / "a.bin")
    assert len(server.answers) == 1
    assert waits == []
    assert not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_faults_are_waited_for(
    server: FileServer, content: bytes, tmp_path: Path, waits: list[float], status: int
) -> None:
    url = server.publish("/a.bin", content, *[Fault(status=status)] * 4)
    assert fetch(url, tmp_path / "a.bin").path.read_bytes() == content
    assert len(waits) == 4
    assert all(2.0**n / 2 <= wait <= 2.0**n for n, wait in enumerate(waits))


def test_retry_after_is_honoured(server: FileServer, content: bytes, tmp_path: Path, waits: list[float]) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    faults = [Fault(status=503, headers={"Retry-After": value}) for value in ("17", date, "soon")]
    fetch(server.publish("/a.bin", content, *faults), tmp_path / "a.bin")
    assert waits[0] == 17
    assert 80 < waits[1] <= 90
    assert 2 <= waits[2] <= 4


def test_server_that_asks_for_hours_is_given_up(server: FileServer, tmp_path: Path, waits: list[float]) -> None:
    url = server.publish("/a.bin", b"", Fault(status=503, headers={"Retry-After": "7200"}))
    with pytest.raises(UserError, match=r"found HTTP status 503 \(.*\), to be retried in 7200 s\."):
        fetch(url, tmp_path / "a.bin")
    assert waits == []


def test_progress_renews_the_patience(
    server: FileServer, tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variad.downloads.transfer.PROGRESS", 10_000)
    content = bytes(range(256)) * 1_000
    url = server.publish("/a.bin", content, *[Fault(drop=20_000 * n) for n in range(1, 11)])
    monkeypatch.setattr("variad.downloads.transfer.RETRIES", 1)
    assert fetch(url, tmp_path / "a.bin").path.read_bytes() == content
    assert len(waits) == 10
    assert max(waits) <= 1


def test_bytes_fetched_again_are_no_progress(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variad.downloads.transfer.PROGRESS", 10_000)
    monkeypatch.setattr("variad.downloads.transfer.RETRIES", 2)
    content = bytes(range(256)) * 1_000
    url = server.publish("/a.bin", content, *[Fault(drop=20_000)] * 50, ranges=False)
    with pytest.raises(UserError, match=r"in 3 attempts in a row: .*20000 bytes read"):
        fetch(url, tmp_path / "a.bin")
    assert len(server.answers) == 3


def test_silent_server_runs_into_the_timeout(
    server: FileServer, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variad.downloads.transfer.READ_TIMEOUT", 0.1)
    url = server.publish("/a.bin", content, Fault(pause=60))
    started = time.monotonic()
    assert fetch(url, tmp_path / "a.bin").path.read_bytes() == content
    assert time.monotonic() - started < 30  # not the server's minute


def test_server_that_is_not_there(tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variad.downloads.transfer.RETRIES", 2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a.bin"
    with pytest.raises(UserError, match=rf"^{url}: expected a file, found in 3 attempts .*Connection refused\.$"):
        fetch(url, tmp_path / "a.bin")
    assert len(waits) == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody has signed."""
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    extension = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(path), "-out", str(path.with_name("certificate.pem"))]
    subprocess.run([*command.split(), *extension, *files], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_name("certificate.pem").read_text())
    return path


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[FileServer]:
    server = FileServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def address(server: FileServer, path: str) -> str:
    return server.url(path).replace("http://", "https://")


@needs_openssl
def test_unknown_certificate_is_refused_at_once(
    encrypted: FileServer, content: bytes, tmp_path: Path, waits: list[float]
) -> None:
    encrypted.publish("/a.bin", content)
    url = address(encrypted, "/a.bin")
    with pytest.raises(UserError, match=rf"^{url}: expected a server with a valid certificate, found: .*self-signed"):
        fetch(url, tmp_path / "a.bin")
    assert (encrypted.answers, waits) == ([], [])
    assert not (tmp_path / "a.bin").exists()


@needs_openssl
def test_own_authority_of_a_site_is_trusted(
    encrypted: FileServer, certificate: Path, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.with_name("certificate.pem")))
    encrypted.publish("/a.bin", content, Fault(drop=100_001))
    assert fetch(address(encrypted, "/a.bin"), tmp_path / "a.bin").path.read_bytes() == content
    assert encrypted.sent == len(content)


@needs_openssl
def test_redirect_to_plain_text_is_refused(
    encrypted: FileServer,
    server: FileServer,
    certificate: Path,
    content: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.with_name("certificate.pem")))
    plain = server.publish("/a.bin", content)
    encrypted.publish("/a.bin", b"", Fault(status=302, headers={"Location": plain}))
    with pytest.raises(UserError, match=f"expected redirects that stay encrypted, found one to {plain}"):
        fetch(address(encrypted, "/a.bin"), tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


@needs_openssl
def test_redirect_to_encryption_is_followed(
    encrypted: FileServer,
    server: FileServer,
    certificate: Path,
    content: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.with_name("certificate.pem")))
    encrypted.publish("/a.bin", content)
    url = server.publish("/a.bin", b"", Fault(status=301, headers={"Location": address(encrypted, "/a.bin")}))
    assert fetch(url, tmp_path / "a.bin").path.read_bytes() == content
