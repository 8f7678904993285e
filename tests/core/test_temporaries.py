"""What a killed process leaves: known by its name, and cleared when nobody alive owns it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from variad.core.files import scratch_folder, writing
from variad.core.temporaries import UNTOUCHED, WAITING, clear_leftovers, clear_scripts, is_left_over, prefix_of

HOLD = """
import sys, time
from pathlib import Path
from variad.core.files import scratch_folder, writing
with writing("results/images.h5") as file, scratch_folder("results/textures") as folder:
    file.write_bytes(b"half")
    (folder / "whole").mkdir()
    (folder / "whole/0.png").write_bytes(b"tile")
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that is making a file and a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_living_process_makes_stays(tmp_path, holder):
    results = tmp_path / "results"
    assert len(names_in(results)) == 2
    assert clear_leftovers(tmp_path, deep=True) == []
    assert len(names_in(results)) == 2
    assert (next(results.glob(".textures.*")) / "whole/0.png").read_bytes() == b"tile"


@pytest.mark.parametrize("asked", [False, True], ids=["not waited for", "waited for"])
def test_what_a_killed_process_made_goes_and_nothing_else(tmp_path, holder, asked):
    results = tmp_path / "results"
    others = {"images.h5", ".hidden", ".added.1f0c22ab", ".images.x7k2m9qa.h5", "variad-1f0c22ab-4711-98765-x7k2m9qa"}
    for name in others:
        (results / name).write_text("kept")
    holder.send_signal(signal.SIGKILL)
    if asked:
        holder.wait()
    else:
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still there
    left = sorted(path for path in results.iterdir() if path.name not in others)
    assert sorted(clear_leftovers(results)) == left and len(left) == 2
    assert set(names_in(results)) == others


def test_folders_below_are_looked_into_where_that_is_asked_for_and_links_are_not(tmp_path, holder):
    holder.kill()
    holder.wait()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/link").symlink_to(tmp_path / "results")
    assert clear_leftovers(tmp_path) == []
    assert clear_leftovers(tmp_path / "elsewhere", deep=True) == []
    assert len(clear_leftovers(tmp_path, deep=True)) == 2
    assert clear_leftovers(tmp_path / "no such folder", deep=True) == []


def named(target: Path, machine: str | None = None, process: int | None = None, start: int | None = None) -> Path:
    """The temporary of a target as this process would make it, but for what is given."""
    found = re.fullmatch(r"(.*\.variad-)(\w+)-(\d+)-(\d+)-", prefix_of(target), re.S)
    assert found
    parts = [
        own if other is None else other
        for own, other in zip(found.groups()[1:], (machine, process, start), strict=True)
    ]
    path = target.with_name(f"{found[1]}{parts[0]}-{parts[1]}-{parts[2]}-x7k2m9qa{target.suffix}")
    path.write_text("half")
    return path


def test_a_process_is_known_by_its_start_too(tmp_path):
    """Numbers of processes come round again."""
    own = named(tmp_path / "a.h5")
    assert not is_left_over(own)
    if Path("/proc/self/stat").exists():
        assert is_left_over(named(tmp_path / "a.h5", start=1))


def test_what_another_machine_makes_stays_for_a_week_after_it_was_last_touched(tmp_path):
    path = named(tmp_path / "a.h5", machine="0" * 8, process=1, start=1)
    assert not is_left_over(path)
    now = time.time()
    os.utime(path, (now, now - UNTOUCHED + 60))
    assert not is_left_over(path)
    os.utime(path, (now, now - UNTOUCHED - 60))
    assert is_left_over(path)


def test_a_folder_of_another_machine_was_touched_when_a_file_in_it_was(tmp_path):
    own = prefix_of(tmp_path / "textures")
    folder = tmp_path / (re.sub(r"variad-\w{8}-", f"variad-{'0' * 8}-", own) + "x7k2m9qa")
    (folder / "whole").mkdir(parents=True)
    (folder / "whole/0.png").write_bytes(b"tile")
    past = time.time() - UNTOUCHED - 60
    for path in (folder / "whole", folder):
        os.utime(path, (past, past))
    assert not is_left_over(folder)
    os.utime(folder / "whole/0.png", (past, past))
    assert clear_leftovers(tmp_path) == [folder]
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["x" * 250 + ".tiff", "ü" * 125 + ".tiff", "😀" * 60 + ".h5", "a\nb.png", ".hidden", "a.b.c"]
)
def test_any_name_can_be_told_from_its_temporary(tmp_path, name):
    with writing(tmp_path / name) as temporary:
        temporary.write_text("half")
        assert not is_left_over(temporary)
        assert is_left_over(named(tmp_path / name, process=2**22 + 1))
    with scratch_folder(tmp_path / name) as folder:
        assert folder.is_dir() and not is_left_over(folder)
    assert not folder.exists()


def test_copies_of_scripts_that_a_job_may_still_wait_for_stay(tmp_path):
    now = time.time()
    for name, age in (("tmpab12.train_detector.py", 2 * WAITING), ("tmpcd34.plot.py", WAITING / 2), ("own.py", 10**6)):
        (tmp_path / name).write_text("import variad\n")
        os.utime(tmp_path / name, (now - age, now - age))
    clear_scripts(tmp_path)
    assert names_in(tmp_path) == ["own.py", "tmpcd34.plot.py"]
    clear_scripts(tmp_path / "nowhere")
