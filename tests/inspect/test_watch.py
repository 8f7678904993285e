"""A watched folder: every photograph once, when it is whole, also where the watch is killed again and again."""

import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from variad.core.errors import UserError
from variad.core.files import sha256
from variad.inspect import watch as watching
from variad.inspect.watch import WATCH_COLUMNS, FileState, Journal, Pace, watch

from .stand_in import StandIn

ROOT = Path(__file__).resolve().parents[2]
QUICK = Pace(interval=0.01, settle=0.03, give_up=0.2)


def photograph(level: int, number: int = 0, kind: str = "PNG") -> bytes:
    """A grey image of 8 x 8 pixels; ``number`` makes its bytes its own."""
    stream = BytesIO()
    pixels = np.full((8, 8, 3), level, np.uint8)
    pixels[0, 0] = number % 256, number // 256 % 256, 0
    Image.fromarray(pixels).save(stream, kind, **({"comment": str(number)} if kind == "JPEG" else {}))
    return stream.getvalue()


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
        return list(csv.DictReader(stream))


class Over(Exception):
    """Ends a watch from its pause."""


class Watched:
    """A folder and its journal."""

    def __init__(self, home: Path) -> None:
        self.folder, self.output = home / "line", home / "results.csv"
        self.folder.mkdir()
        self.warnings: list[str] = []
        self.events: dict[float, Callable[[], object]] = {}

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def see(self, seconds: float = 0.15, bundle: str = "b", pace: Pace = QUICK, **more: object) -> list[dict]:
        """The rows of a new watch, which ends after some seconds of a clock that only its pauses move.

        ``self.events`` are functions that are called when the clock has come to their second.
        """
        journal, rows, now = Journal(self.output, bundle), [], [0.0]
        events = sorted(self.events.items())

        def pause(length: float) -> None:
            now[0] += pace.interval
            while events and now[0] >= events[0][0]:
                events.pop(0)[1]()
            if now[0] > seconds:
                raise Over

        self.events = {}
        try:
            with pytest.MonkeyPatch.context() as patch, pytest.raises(Over):
                patch.setattr(watching, "monotonic", lambda: now[0])
                given = {"pace": pace, "warn": self.warnings.append, "pause": pause, **more}
                for row in watch(StandIn(), str(self.folder), journal, **given):
                    rows.append(row)
        finally:
            journal.close()
        return rows


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def named(rows: list[dict]) -> list[str]:
    return [row["path"] for row in rows]


def test_a_photograph_is_inspected_once_over_restarts(watched: Watched) -> None:
    path = watched.put("monday/1.png", photograph(51))
    (row,) = watched.see()
    assert (row["path"], row["answer"], row["error"]) == ("monday/1.png", "good", None)
    assert watched.see() == []
    (kept,) = rows_of(watched.output)
    assert tuple(kept) == WATCH_COLUMNS
    assert float(kept["score"]) == row["score"] == pytest.approx(0.2, abs=0.01)
    assert (int(kept["size"]), int(kept["mtime_ns"])) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (kept["sha256"], kept["bundle"]) == (sha256(path), "b")


def test_older_photographs_come_first(watched: Watched) -> None:
    for name, seconds in (("a.png", 300), ("b.png", 100), ("c.png", 200)):
        path = watched.put(name, photograph(9))
        os.utime(path, (seconds, seconds))
    assert named(watched.see()) == ["b.png", "c.png", "a.png"]


def test_other_files_hidden_ones_and_left_out_folders_are_not_opened(watched: Watched, tmp_path: Path) -> None:
    for name in ("1.png.part", ".2.png", "notes.txt", ".hidden/3.png", "maps/4.png"):
        watched.put(name, photograph(9))
    (watched.folder / "5.png").symlink_to(tmp_path / "nowhere")
    (watched.folder / "again").symlink_to(watched.folder)
    os.mkfifo(watched.folder / "6.png")
    watched.put("7.png", photograph(9))
    assert named(watched.see(leave_out=[watched.folder / "maps"])) == ["7.png"]
    assert watched.warnings == []


def test_a_half_written_photograph_is_waited_for(watched: Watched) -> None:
    whole = photograph(200)
    path = watched.put("1.png", whole[:40])
    seen: list[dict] = []
    # it has long rested by then, and was opened once
    watched.events = {0.14: lambda: seen.extend(rows_of(watched.output)), 0.15: lambda: path.write_bytes(whole)}
    (row,) = watched.see(0.5, pace=Pace(interval=0.01, settle=0.03, give_up=5))
    assert not seen
    assert row["error"] is None and row["answer"] == "look"


def test_a_bad_file_is_reported_once_passed_over_and_looked_at_again_when_it_changes(watched: Watched) -> None:
    path = watched.put("1.png", b"no photograph")
    watched.put("2.png", b"")
    watched.put("3.png", photograph(9))
    rows = watched.see(0.5)
    assert named(rows)[0] == "3.png" and sorted(named(rows)) == ["1.png", "2.png", "3.png"]
    errors = {row["path"]: row["error"] for row in rows}
    assert "found a damaged file or another format" in errors["1.png"] and "found an empty file" in errors["2.png"]
    assert watched.see(0.5) == []
    path.write_bytes(photograph(230))
    (row,) = watched.see(0.5)
    assert (row["path"], row["answer"]) == ("1.png", "bad")


def test_a_file_that_may_not_be_read_is_reported(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(StandIn):
        def read(self, path: str):
            raise UserError(f"{path}: expected a readable image, found: Permission denied.")

    watched.put("1.png", photograph(9))
    monkeypatch.setattr(sys.modules[__name__], "StandIn", Refusing)
    (row,) = watched.see(0.5)
    assert row["error"].endswith("Permission denied.") and row["score"] is None


def test_a_file_that_could_not_be_opened_is_asked_for_once_more_when_it_can_be(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = watched.put("1.png", photograph(9))
    access, may = os.access, [False]

    class Refusing(StandIn):
        def read(self, path: str):
            if not may[0]:
                raise UserError(f"{path}: expected a readable image, found: Permission denied.")
            return super().read(path)

    # as superusers read everything
    monkeypatch.setattr(os, "access", lambda file, mode: may[0] if Path(file) == path else access(file, mode))
    monkeypatch.setattr(watching, "_digest", lambda file: "0" * 64 if may[0] else "")
    monkeypatch.setattr(sys.modules[__name__], "StandIn", Refusing)
    watched.events = {1.0: lambda: may.__setitem__(0, True)}
    refused, read = watched.see(2.0)
    assert "Permission denied" in refused["error"] and (read["path"], read["answer"]) == ("1.png", "good")
    assert watched.see(0.5) == []


def test_a_file_that_cannot_be_opened_though_it_may_be_is_reported_twice_and_no_more(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(StandIn):
        def read(self, path: str):
            raise UserError(f"{path}: expected a readable image, found: Input/output error.")

    watched.put("1.png", photograph(9))
    monkeypatch.setattr(watching, "_digest", lambda file: "")
    monkeypatch.setattr(sys.modules[__name__], "StandIn", Failing)
    assert named(watched.see(3.0)) == ["1.png", "1.png"]


def test_what_was_moved_or_touched_is_not_inspected_again(watched: Watched) -> None:
    path = watched.put("1.png", photograph(9, 1))
    watched.see()
    os.utime(path, ns=(0, 5))
    assert watched.see() == []
    os.utime(path, ns=(0, int(rows_of(watched.output)[0]["mtime_ns"])))
    path = path.rename(watched.folder / "2.png")
    assert watched.see() == []
    watched.put("1.png", photograph(9, 2))  # another one takes the first name
    assert named(watched.see()) == ["1.png"]
    assert watched.see() == []  # and where the other is, is found again without its old name
    (watched.folder / "3.png").write_bytes(path.read_bytes())  # a copy is a file of its own
    assert named(watched.see()) == ["3.png"]


def test_one_name_for_photograph_after_photograph(watched: Watched) -> None:
    for number in range(3):
        path = watched.put("live.png", photograph(9, number))
        os.utime(path, ns=(0, number * 10**9))
        assert named(watched.see()) == ["live.png"]
    assert len({row["sha256"] for row in rows_of(watched.output)}) == 3


def test_what_changes_while_it_is_looked_at_is_looked_at_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = watched.put("1.png", photograph(9))

    class Slow(StandIn):
        def read(self, name):
            read = super().read(name)
            if path.stat().st_size == len(photograph(9)) and path.read_bytes() == photograph(9):
                path.write_bytes(photograph(250, 7))
            return read

    monkeypatch.setattr(sys.modules[__name__], "StandIn", Slow)
    (row,) = watched.see(0.4)
    assert row["answer"] == "bad"


@pytest.mark.parametrize(
    "name", ['a "quoted", name.png', "line\nend.png", "carriage\rreturn.png", "\udcff.png", "日本.png"]
)
def test_any_name_survives_a_restart(watched: Watched, name: str) -> None:
    watched.put(name, photograph(9))
    assert named(watched.see()) == [name]
    assert watched.see() == []
    assert [row["path"] for row in rows_of(watched.output)] == [name]


@pytest.mark.parametrize("name", ["2.png", "two\nlines.png", "two\r.png"])
def test_a_line_torn_anywhere_is_taken_back_and_its_photograph_inspected_again(watched: Watched, name: str) -> None:
    watched.put("1.png", photograph(9))
    watched.see()
    first = watched.output.read_bytes()
    watched.put(name, photograph(10))
    watched.see()
    whole = watched.output.read_bytes()
    for end in range(len(whole)):
        watched.output.write_bytes(whole[:end])
        Journal(watched.output, "b").close()
        left = watched.output.read_bytes()
        header = first[: first.index(b"\n") + 1]
        assert left == (first if end >= len(first) else header)
    assert named(watched.see()) == [name]


def test_a_file_that_is_no_journal_is_left_alone(watched: Watched) -> None:
    watched.output.write_text("path,score\n1.png,3\n")
    with pytest.raises(UserError, match="expected the CSV of a watch"):
        Journal(watched.output, "b")
    assert watched.output.read_text() == "path,score\n1.png,3\n"
    watched.output.write_text(",".join(WATCH_COLUMNS) + "\n1.png,3\n")
    with pytest.raises(UserError, match="line 2: expected the columns of a watch, found 2"):
        Journal(watched.output, "b")


def test_results_of_another_bundle_are_not_mixed(watched: Watched) -> None:
    watched.put("1.png", photograph(9))
    watched.see()
    with pytest.raises(UserError, match=r"expected results of this bundle, found those of another one \(b, not c\)"):
        Journal(watched.output, "c")


def test_two_watches_do_not_share_a_journal(watched: Watched) -> None:
    journal = Journal(watched.output, "b")
    with pytest.raises(UserError, match="found another watch that writes it"):
        Journal(watched.output, "b")
    journal.close()
    Journal(watched.output, "b").close()


def test_a_full_disk_leaves_whole_lines(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.put("1.png", photograph(9))
    watched.see()
    before = watched.output.read_bytes()
    journal, write = Journal(watched.output, "b"), os.write

    def full(file: int, data: bytes) -> int:
        if os.fstat(file).st_size > len(before):  # some of the line is there
            raise OSError(28, "No space left on device")
        return write(file, data[:9])

    with monkeypatch.context() as patch, pytest.raises(UserError, match="No space left on device"):
        patch.setattr(os, "write", full)
        journal.add(dict.fromkeys(WATCH_COLUMNS), "2.png", FileState(1, 1), "")
    journal.close()
    assert watched.output.read_bytes() == before


def test_a_folder_that_goes_away_is_waited_for(watched: Watched) -> None:
    watched.put("1.png", photograph(9))
    gone = watched.folder.rename(watched.folder.with_name("gone"))
    watched.events = {0.15: lambda: gone.rename(watched.folder)}
    assert named(watched.see(0.4)) == ["1.png"]
    assert len(watched.warnings) == 1 and "No such file or directory; waiting." in watched.warnings[0]


WATCHER = """
import sys
from tests.inspect.stand_in import StandIn
from variad.inspect.watch import Journal, Pace, watch
folder, output = sys.argv[1:]
for row in watch(StandIn(), folder, Journal(output, "b"), Pace(0.02, 0.1, 20.0)):
    pass
"""


def write_in_its_way(folder: Path, number: int, content: bytes, kind: str, chance: random.Random) -> None:
    """Write a photograph: in a burst, in pieces, under another name first, or moved once it is there."""
    path = folder / f"{number % 7}" / f"{number}.{kind.lower()}"
    way = number % 5
    if way == 0:  # slowly, in three pieces
        for piece in (content[:30], content[30 : len(content) // 2], content[len(content) // 2 :]):
            with open(path, "ab") as stream:
                stream.write(piece)
            time.sleep(chance.uniform(0, 0.12))
    elif way == 1:  # under a name that says that it is not there yet
        part = path.with_name(path.name + ".part")
        part.write_bytes(content)
        part.rename(path)
    elif way == 2:  # half, and whole by a rename
        path.write_bytes(content[: len(content) // 2])
        part = path.with_name("." + path.name)
        part.write_bytes(content)
        part.replace(path)
    elif way == 3:  # renamed at a moment when it may or may not have been seen
        path.write_bytes(content)
        time.sleep(chance.uniform(0, 0.25))
        path.rename(path.with_name(f"moved_{path.name}"))
    else:
        path.write_bytes(content)


@pytest.mark.slow
def test_a_thousand_photographs_and_ten_kills(tmp_path: Path) -> None:
    """Each has its one row with the right score; a SIGKILL at any moment loses none and doubles none."""
    folder, output, chance = tmp_path / "line", tmp_path / "results.csv", random.Random(5)
    kinds = ("PNG", "JPEG", "BMP")
    contents = {
        number: (photograph(number % 250, number, kinds[number % 3]), kinds[number % 3]) for number in range(1000)
    }
    assert len({content for content, _ in contents.values()}) == 1000
    for part in range(7):
        (folder / f"{part}").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'workflow/lib'}"}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WATCHER, folder, output], env=environment, cwd=ROOT)

    def write(numbers: list[int], seed: int) -> None:
        writer = random.Random(seed)
        for number in numbers:
            write_in_its_way(folder, number, *contents[number], writer)

    writers = [threading.Thread(target=write, args=(list(range(part, 1000, 4)), part)) for part in range(4)]
    running = start()
    for writer in writers:
        writer.start()
    kills = 0
    while kills < 10:
        time.sleep(chance.uniform(0.7, 2.0))
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        kills += 1
        running = start()
    for writer in writers:
        writer.join()
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and output.read_bytes().count(b"\n") < 1001:
        time.sleep(0.3)
    time.sleep(1.5)  # for a row too many
    running.kill()
    running.wait()
    Journal(output, "b").close()
    rows = rows_of(output)
    assert {row["error"] for row in rows} == {""}
    count = Counter(row["sha256"] for row in rows)
    assert count == dict.fromkeys((hashlib.sha256(content).hexdigest() for content, _ in contents.values()), 1)
    scores = {row["sha256"]: float(row["score"]) for row in rows}
    assert scores[hashlib.sha256(contents[500][0]).hexdigest()] == pytest.approx(0, abs=0.05)
    assert scores[hashlib.sha256(contents[999][0]).hexdigest()] == pytest.approx(249 / 255, abs=0.05)
