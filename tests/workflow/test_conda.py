"""The conda environment, built from its YAML's pip list alone, and rules' scripts run in it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rule_packages import ROOT, rules_with_scripts
from tests.workflow.conda import stand_in
from variad.core.provenance import LIBRARY, library_files

TINY = ROOT / "tests" / "workflow" / "tiny.yaml"
ENVIRONMENT = ROOT / "envs" / "variad.yaml"
OURS = yaml.safe_load(ENVIRONMENT.read_text(encoding="utf-8"))
TARGETS = [f"results/textures/brick/{name}" for name in ("train/manifest.csv", "train/images.h5", "shots.csv")]

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


def study(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on the first steps of the tiny study."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
    command += ["--configfile", str(TINY), "--workflow-profile", "none", *arguments, "--", *TARGETS]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("configured", "with_old"),
    [
        (["conda-forge"], ["conda-forge"]),
        (["defaults"], ["conda-forge", "defaults"]),
        (["bioconda", "conda-forge", "defaults"], ["conda-forge", "bioconda", "defaults"]),
        ([], ["conda-forge"]),
    ],
    ids=["Miniforge", "Miniconda", "somebody's own", "none"],
)
def test_every_conda_takes_our_packages_from_conda_forge(configured: list[str], with_old: list[str]) -> None:
    for version, expected in ((stand_in.OLD, with_old), (stand_in.NEW, ["conda-forge"])):
        searched = stand_in.searched_channels(OURS["channels"], configured, version)
        assert searched == expected
        chosen = stand_in.chosen_channels(OURS["dependencies"], searched)
        assert chosen == {"python": "conda-forge", "pip": "conda-forge"}


def test_the_stand_in_takes_channels_as_conda_does() -> None:
    word = ["conda-forge", "nodefaults"]
    assert stand_in.searched_channels(word, ["defaults"], "26.6.2") == ["conda-forge"]
    with pytest.raises(SystemExit, match=r"UnavailableInvalidChannel.*nodefaults"):
        stand_in.searched_channels(word, ["defaults"], "26.7.0")
    assert stand_in.searched_channels([], ["defaults", "conda-forge"], stand_in.OLD) == ["defaults", "conda-forge"]
    with pytest.raises(SystemExit, match="NoChannelsConfigured"):
        stand_in.searched_channels([], ["defaults"], stand_in.NEW)
    with pytest.raises(SystemExit, match="python is in none of bioconda"):
        stand_in.chosen_channels(["python =3.11"], ["bioconda"])
    with pytest.raises(SystemExit, match="pip itself is not listed"):
        stand_in.chosen_channels(["python =3.11", {"pip": ["numpy"]}], ["conda-forge"])


@pytest.mark.parametrize("version", [stand_in.OLD, stand_in.NEW], ids=["old conda", "new conda"])
def test_terms_that_nobody_accepted_end_a_run_with_their_name(version: str, tmp_path: Path) -> None:
    conda = stand_in.install_beside(tmp_path / "conda", version, stand_in.MINICONDA)
    done = study(tmp_path / "study", conda, "--use-conda", "--conda-create-envs-only")
    assert done.returncode == 1
    assert "CondaToSNonInteractiveError" in done.stderr and "defaults" in done.stderr
    assert "not configured to use strict channel priorities" in done.stderr
    assert not list((tmp_path / "study" / ".snakemake" / "conda").glob("*/bin"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "configuration", "searched"),
    [
        (stand_in.OLD, stand_in.ACCEPTED, ["conda-forge", "defaults"]),
        (stand_in.NEW, stand_in.MINIFORGE, ["conda-forge"]),
    ],
    ids=["old conda", "new conda"],
)
def test_rules_run_with_use_conda(
    version: str, configuration: dict[str, Any], searched: list[str], tmp_path: Path
) -> None:
    environment = stand_in.install_beside(tmp_path / "conda", version, configuration)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for folder, arguments in ((tmp_path / "study", ["--use-conda"]), (tmp_path / "plain", [])):
        done = study(folder, environment, *arguments)
        assert done.returncode == 0, done.stderr[-8000:]
    # one environment for all rules, of which everything that their scripts import can be had without any other package
    (prefix,) = (path for path in (tmp_path / "study" / ".snakemake" / "conda").iterdir() if path.is_dir())
    assert json.loads((prefix / "channels.json").read_text(encoding="utf-8")) == {
        "searched": searched,
        "chosen": {"python": "conda-forge", "pip": "conda-forge"},
    }
    # Python writes what it compiled beside what it imported: the scripts took numpy from here.
    assert list(prefix.glob("lib/python*/site-packages/numpy/__pycache__"))
    if version == stand_in.NEW:
        modules = modules_of(ENVIRONMENT.name)
        assert len(modules) > 100
        subprocess.run([prefix / "bin" / "python", "-I", "-c", IMPORT_ALL, LIBRARY.parent, *modules], check=True)
    for name in ("train/manifest.csv", "shots.csv"):
        inside, outside = (tmp_path / run / "results/textures/brick" / name for run in ("study", "plain"))
        assert inside.read_bytes() == outside.read_bytes()
    shutil.rmtree(prefix)  # gigabytes, which pytest would keep
