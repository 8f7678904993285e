"""Servers with certificates: verified, and not left for plain text on the way."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.downloads.server import Fault, FileServer
from variad.downloads.fetching import fetch
from variad.errors import UserError

pytestmark = [
    pytest.mark.usefixtures("waits"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made by openssl"),
]


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


def test_unknown_certificate_is_refused_at_once(
    encrypted: FileServer, content: bytes, tmp_path: Path, waits: list[float]
) -> None:
    encrypted.publish("/a.bin", content)
    url = address(encrypted, "/a.bin")
    with pytest.raises(UserError, match=rf"^{url}: expected a server with a valid certificate, found: .*self-signed"):
        fetch(url, tmp_path / "a.bin")
    assert (encrypted.answers, waits) == ([], [])
    assert not (tmp_path / "a.bin").exists()


def test_own_authority_of_a_site_is_trusted(
    encrypted: FileServer, certificate: Path, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.with_name("certificate.pem")))
    encrypted.publish("/a.bin", content, Fault(drop=100_001))
    assert fetch(address(encrypted, "/a.bin"), tmp_path / "a.bin").path.read_bytes() == content
    assert encrypted.sent == len(content)


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
