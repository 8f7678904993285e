"""Atomic writing and hashes."""

import hashlib

import pytest

from variad.core.errors import UserError
from variad.core.files import sha256, verify_sha256, writing


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    target = tmp_path / "new folder" / "table.csv"
    with writing(target) as temporary:
        temporary.write_text("a")
        assert not target.exists()
        assert temporary.suffix == ".csv"
    assert target.read_text() == "a"
    assert [path.name for path in target.parent.iterdir()] == ["table.csv"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), writing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["x" * 250 + ".tiff", "ü" * 125 + ".tiff", ".hidden", "no ending" * 20])
def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path, name):
    with writing(tmp_path / name) as temporary:
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "results").write_text("")
    with (
        pytest.raises(UserError, match="results: expected a folder that can be written to"),
        writing(tmp_path / "results" / "table.csv"),
    ):
        pass


def test_hashes(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    known = hashlib.sha256(b"abc").hexdigest()
    assert sha256(path) == known
    verify_sha256(path, known)
    with pytest.raises(UserError, match=f"expected sha256 {'0' * 64}, found {known}"):
        verify_sha256(path, "0" * 64)
    with pytest.raises(UserError, match="found no such file"):
        verify_sha256(tmp_path / "absent", known)
