"""The conda environments, each built from its YAML's pip list alone, and rules' scripts run in them."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.rule_packages import ROOT, rules_with_scripts
from tests.workflow.conda import stand_in
from variad.core.provenance import LIBRARY, library_files

TINY = ROOT / "tests" / "workflow" / "tiny.yaml"

# Without Snakemake's own packages in reach, which it offers to every script and which would hide a missing one.
IMPORT_ALL = (
    "import importlib, sys; sys.path.insert(0, sys.argv[1]); [importlib.import_module(m) for m in sys.argv[2:]]"
)


def modules_of(environment: str) -> list[str]:
    """The modules of the library that scripts of rules in one environment import."""
    rules = [rule for rule in rules_with_scripts() if rule.conda == environment]
    files = {path for rule in rules for path in library_files(rule.script)}
    names = {path.relative_to(LIBRARY.parent).with_suffix("") for path in files}
    return sorted(".".join(name.parts).removesuffix(".__init__") for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("environment", ["base.yaml", "torch.yaml", "report.yaml"])
def test_environment_alone_imports_all_that_its_rules_need(environment: str, tmp_path: Path) -> None:
    python = stand_in.create(ROOT / "envs" / environment, tmp_path / "environment")
    modules = modules_of(environment)
    assert modules
    subprocess.run([python, "-I", "-c", IMPORT_ALL, LIBRARY.parent, *modules], check=True)
    shutil.rmtree(tmp_path / "environment")  # gigabytes, which pytest would keep


def test_the_stand_in_takes_channels_as_conda_does() -> None:
    old, new = (partial(stand_in.searched_channels, version=version) for version in (stand_in.OLD, stand_in.NEW))
    assert old(["conda-forge", "nodefaults"]) == new(["conda-forge"]) == ["conda-forge"]
    assert old(["conda-forge"]) == ["conda-forge", "defaults"]
    with pytest.raises(SystemExit, match=r"UnavailableInvalidChannel.*nodefaults"):
        new(["conda-forge", "nodefaults"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "channels"),
    [(stand_in.OLD, ["conda-forge", "defaults"]), (stand_in.NEW, ["conda-forge"])],
    ids=["old conda", "new conda"],
)
def test_rules_run_with_use_conda(version: str, channels: list[str], tmp_path: Path) -> None:
    environment = stand_in.install_beside(tmp_path / "conda", version)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    study = tmp_path / "study"
    study.mkdir()
    targets = [f"results/textures/brick/{name}" for name in ("train/manifest.csv", "train/images.h5", "shots.csv")]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", ROOT / "workflow" / "Snakefile"]
    command += ["--configfile", TINY, "--workflow-profile", "none"]
    for arguments, variables in ((["--use-conda"], environment), (["--forceall", "--directory", "plain"], None)):
        done = subprocess.run(
            [*command, *arguments, "--", *targets],
            cwd=study,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-8000:]
    prefixes = [path for path in (study / ".snakemake" / "conda").iterdir() if path.is_dir()]
    assert len(prefixes) == 1
    assert (prefixes[0] / "channels.txt").read_text(encoding="utf-8").splitlines() == channels
    # Python writes what it compiled beside what it imported: the scripts took numpy from here.
    assert list(prefixes[0].glob("lib/python*/site-packages/numpy/__pycache__"))
    for name in ("train/manifest.csv", "shots.csv"):
        inside, outside = (pd.read_csv(study / run / "results/textures/brick" / name) for run in (".", "plain"))
        assert np.array_equal(inside.fillna("").to_numpy(), outside.fillna("").to_numpy())
