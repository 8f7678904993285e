"""What scripts do around their work."""

import errno
import gc
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from variad.core.errors import UserError
from variad.core.job import choose_device, job
from variad.core.temporaries import prefix_of


def place(log, **more):
    return SimpleNamespace(threads=1, log=[str(log)], resources={"gpu": 0}, **more)


def test_a_users_mistake_is_one_sentence_in_the_log_and_on_the_terminal(tmp_path, capsys):
    log = tmp_path / "logs/rule.log"
    with pytest.raises(SystemExit) as stopped, job(place(log)):
        raise UserError("a.png: expected an image, found none.")
    assert stopped.value.code == 1
    assert log.read_text() == capsys.readouterr().err == "error: a.png: expected an image, found none.\n"


def test_our_mistake_leaves_a_traceback_in_the_log(tmp_path):
    log = tmp_path / "rule.log"
    with pytest.raises(ZeroDivisionError), job(place(log)):
        1 / 0  # noqa: B018
    assert "ZeroDivisionError" in log.read_text()


def ended_by(log, work, **more):
    """The sentence in the log of a job that fails with status 1."""
    with pytest.raises(SystemExit) as stopped, job(place(log, rule="score", **more)):
        work()
    assert stopped.value.code == 1
    return log.read_text()


def test_used_up_memory_is_one_sentence(tmp_path, capsys):
    said = ended_by(tmp_path / "rule.log", lambda: np.empty(2**60, np.uint8))
    assert said.startswith("error: rule score: expected enough memory, found: Unable to allocate 1.00 EiB for an array")
    assert said.endswith("; run fewer jobs at once, or where there is more.\n") and len(said.splitlines()) == 1
    assert capsys.readouterr().err == said


def test_used_up_memory_of_torch_is_one_sentence(tmp_path):
    said = ended_by(tmp_path / "rule.log", lambda: torch.empty(2**60, dtype=torch.uint8))
    assert said.startswith("error: rule score: expected enough memory, found: ") and len(said.splitlines()) == 1


def test_a_full_disk_is_one_sentence(tmp_path):
    def work():
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/scratch")

    said = ended_by(tmp_path / "rule.log", work)
    found = "no space left on the disk; make room there, and run the same command again."
    assert said == f"error: /tmp/scratch: expected room to write, found {found}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_on_a_full_disk_does_not_hide_what_happened(tmp_path, capsys):
    log = tmp_path / "rule.log"
    log.symlink_to("/dev/full")
    with pytest.raises(SystemExit) as stopped, job(place(log)) as at:
        at.log.info("%d images", 3)
        raise UserError("a.png: expected an image, found none.")
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: a.png: expected an image, found none.\n"
    with job(place(log)) as at:  # nor does it end a job that goes well
        at.log.info("%d images", 3)
    assert capsys.readouterr().err == ""


def test_what_a_killed_attempt_left_beside_an_output_goes(tmp_path):
    left = tmp_path / "results" / f"{prefix_of(Path('images.h5'))}x7k2m9qa.h5"
    mine = f"-{os.getpid()}-"
    own, other = left, left.with_name(left.name.replace(mine, f"-{2**23}-"))
    own.parent.mkdir()
    for path in (own, other):
        path.write_text("half")
    with job(place(tmp_path / "rule.log", output=["results/images.h5", str(tmp_path / "results/images.h5")])):
        pass
    assert own.exists() and not other.exists()


def test_messages_go_to_the_log(tmp_path):
    with job(place(tmp_path / "rule.log")) as at:
        at.log.info("%d images", 3)
        assert (at.threads, at.device) == (1, "cpu")
    assert (tmp_path / "rule.log").read_text().endswith(" 3 images\n")


def test_a_warning_goes_to_the_log_and_to_the_terminal(tmp_path, capsys):
    with job(place(tmp_path / "rule.log")) as at:
        at.warn("no threshold.")
    assert (tmp_path / "rule.log").read_text().endswith(" no threshold.\n")
    assert capsys.readouterr().err == "warning: no threshold.\n"


def test_what_a_job_leaves_is_not_searched_for_garbage(tmp_path):
    gc.unfreeze()
    with job(place(tmp_path / "rule.log")):
        assert gc.get_freeze_count() == 0
    assert gc.get_freeze_count() > 1000
    gc.unfreeze()


def test_no_gpu_asked_for_is_none_used():
    assert choose_device(0) == "cpu"
