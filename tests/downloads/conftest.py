from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.downloads.server import FileServer, serving


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as started:
        yield started


@pytest.fixture
def content() -> bytes:
    """300,000 bytes that do not repeat."""
    return np.random.default_rng(7).bytes(300_000)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited between attempts, none of them really."""
    waited: list[float] = []
    monkeypatch.setattr("variad.downloads.transfer.sleep", waited.append)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return waited


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to unpack in, beside a victim that nothing may touch."""
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "here").mkdir()
    return tmp_path / "here"
