"""What scripts do around their work."""

import gc
from types import SimpleNamespace

import pytest

from variad.core.errors import UserError
from variad.core.job import choose_device, job


def place(log):
    return SimpleNamespace(threads=1, log=[str(log)], resources={"gpu": 0}, input=[], output=[])


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
