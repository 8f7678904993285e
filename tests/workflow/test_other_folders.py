"""A study in another folder than the checkout's: what ships is found, and what is made lies where the study runs."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from .running import ROOT, TINY, succeed

pytestmark = pytest.mark.slow
# needs the VQGAN and the class names that ship, WordNet, an extractor, and textures that are rendered
CELL = "results/textures/brick/one_shot/generated/patchcore/scores.csv"
ADDED = "results/textures/brick/one_shot/generated/added.h5"
SOURCES = ("Snakefile", "workflow", "scripts", "config", "resources", "envs")


def run(folder: Path, *arguments: str | Path, **how) -> subprocess.CompletedProcess[str]:
    """Snakemake in a folder, as from a shell there."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "snakemake", "--quiet", "host", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, **how)


def rows(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """A folder that was empty, with one cell made in it by ``--directory``."""
    folder = tmp_path_factory.mktemp("elsewhere")
    succeed(folder, "--cores", "1", CELL)
    return folder


def test_an_empty_folder_is_enough(elsewhere):
    with h5py.File(elsewhere / ADDED) as file:
        assert file["images"].shape == (4, 64, 64, 3)
    assert {path.name for path in elsewhere.iterdir()} == {".snakemake", "results", "resources"}
    assert {path.name for path in (elsewhere / "resources").iterdir()} == {"downloads"}
    assert {path.name for path in (elsewhere / "resources/downloads").iterdir()} == {"textures", "wordnet"}


def test_the_snakefile_named_from_another_folder(tmp_path, elsewhere):
    done = run(tmp_path, "-s", ROOT / "Snakefile", "--configfile", TINY, "--cores", "1", CELL)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / CELL).read_bytes() == (elsewhere / CELL).read_bytes()
