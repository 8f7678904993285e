"""What is recorded of a run."""

import hashlib
import json
import subprocess

import numpy as np
import pytest

from variad.core.errors import UserError
from variad.core.provenance import describe, git_state, write_provenance

CONFIG = {"run": {"seed": 11}, "datasets": {"elpv": {"categories": ["mono"]}}}


@pytest.fixture
def files(tmp_path):
    for name in ("b.safetensors", "a.safetensors", "manifest.csv"):
        (tmp_path / name).write_bytes(name.encode())
    return {
        "weights": [str(tmp_path / "b.safetensors"), str(tmp_path / "a.safetensors")],
        "manifests": [str(tmp_path / "manifest.csv")],
    }


def commit(folder, message):
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", folder, *who, "commit", "-q", "--allow-empty", "-m", message], check=True)


def test_hashes_seed_and_versions(files, tmp_path):
    record = describe(CONFIG, files, packages=["numpy", "no-such-distribution"], repository=tmp_path)
    assert record["root_seed"] == 11
    assert record["config"] == CONFIG
    assert record["packages"] == {"no-such-distribution": None, "numpy": np.__version__}
    assert record["files"]["manifests"] == {files["manifests"][0]: hashlib.sha256(b"manifest.csv").hexdigest()}
    assert list(record["files"]["weights"]) == sorted(files["weights"])


def test_a_changed_file_changes_its_hash_only(files, tmp_path):
    before = describe(CONFIG, files, repository=tmp_path)
    (tmp_path / "manifest.csv").write_text("other")
    after = describe(CONFIG, files, repository=tmp_path)
    assert before["files"].pop("manifests") != after["files"].pop("manifests")
    assert before == after


def test_the_file_is_the_same_each_time(files, tmp_path):
    for name in ("a.json", "b.json"):
        write_provenance(tmp_path / name, describe(CONFIG, files, repository=tmp_path))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text("utf-8"))["config"] == CONFIG


def test_git_commit_and_changes(tmp_path):
    assert git_state(tmp_path) is None
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("1")
    subprocess.run(["git", "-C", tmp_path, "add", "file"], check=True)
    commit(tmp_path, "first")
    head = subprocess.run(["git", "-C", tmp_path, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert git_state(tmp_path) == {"commit": head.stdout.strip(), "changed": False}
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path)["changed"]


def test_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def test_a_missing_file(files, tmp_path):
    with pytest.raises(UserError, match=r"gone\.csv: expected a file"):
        describe(CONFIG, {**files, "tables": [str(tmp_path / "gone.csv")]})
