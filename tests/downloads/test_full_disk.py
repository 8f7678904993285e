"""A full disk, foreseen or met, and a second process on the same file."""

import multiprocessing
import resource
import time
from pathlib import Path

import pytest

from tests.downloads.checks import expected_of, part_of
from tests.downloads.server import Fault, FileServer
from variad.core.errors import UserError
from variad.downloads.transfer import check_space, fetch

pytestmark = pytest.mark.usefixtures("waits")


def test_disk_too_small_for_the_known_size(
    server: FileServer, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    usage = type("Usage", (), {"free": 299_999})
    monkeypatch.setattr("variad.downloads.transfer.shutil.disk_usage", lambda _: usage)
    message = rf"^{tmp_path}: expected 300,000 free bytes for a\.bin, found 299,999\.$"
    with pytest.raises(UserError, match=message):
        fetch(url, target, expected_of(content))
    assert server.answers == []
    with pytest.raises(UserError, match=message):
        fetch(url, target)
    assert part_of(target).stat().st_size == 0
    usage.free = 300_000
    assert fetch(url, target).size == 300_000


def test_rest_of_a_file_needs_room_for_the_rest(
    server: FileServer, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: list[int] = []
    url = server.publish("/a.bin", content, Fault(drop=100_000))
    monkeypatch.setattr("variad.downloads.transfer.check_space", lambda _, size, __: needed.append(size))
    fetch(url, tmp_path / "a.bin")
    assert needed == [0, 300_000, 200_000]  # nothing is known before the first answer


def _fetch_with_a_limit(url: str, target: Path, limit: int, result) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # the kernel takes no byte beyond it
    try:
        fetch(url, target)
    except UserError as error:
        result.send(str(error))


def test_disk_that_fills_up_keeps_what_arrived(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_fetch_with_a_limit, args=(url, target, 100_000, theirs))
    process.start()
    assert ours.poll(20)
    found = "a limit on the size of files; raise it (ulimit -f), and run the same command again."
    assert ours.recv() == f"{part_of(target)}: expected room to write, found {found}"
    process.join()
    assert part_of(target).read_bytes() == content[:100_000]
    assert fetch(url, target).path.read_bytes() == content
    assert server.answers[-1].asked_range == "bytes=100000-"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_is_not_tried_again(server: FileServer, content: bytes, tmp_path: Path, waits: list[float]) -> None:
    url, target = server.publish("/a.bin", content), tmp_path / "a.bin"
    part_of(target).symlink_to("/dev/full")
    with pytest.raises(UserError, match=rf"^{part_of(target)}: expected room to write, found no space left"):
        fetch(url, target, expected_of(content))
    assert len(server.answers) == 1
    assert waits == []
    assert not target.exists()


def test_space_is_checked_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variad.downloads.transfer.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    check_space(tmp_path, 10, "it")
    with pytest.raises(UserError, match=r"expected 11 free bytes for it, found 10\."):
        check_space(tmp_path, 11, "it")


def _hold(url: str, target: Path) -> None:
    fetch(url, target)


def test_two_processes_do_not_write_one_file(server: FileServer, content: bytes, tmp_path: Path) -> None:
    url, target = server.publish("/a.bin", content, Fault(pause=60)), tmp_path / "a.bin"
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(url, target))
    process.start()
    try:
        while server.files["/a.bin"].faults:  # until it has asked
            time.sleep(0.01)
        with pytest.raises(UserError, match=r"a\.bin\.part: expected no other process at work on it, found one"):
            fetch(url, target)
    finally:
        process.terminate()
        process.join()
    assert fetch(url, target).path.read_bytes() == content  # what it left locks nobody out
