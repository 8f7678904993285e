"""The recipe of the image: its commands, run in a clean folder in place of a container, give what runs the workflow."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rule_packages import ROOT
from tests.test_envs import ENVS

RECIPE = ENVS / "Containerfile"
KNOWN = ["FROM", "COPY", "RUN", "ENV"]
SHOTS = "results/textures/brick/shots.csv"


def instructions() -> list[tuple[str, str]]:
    """The recipe's instructions in their order, without comments and without how a command is given a cache."""
    lines = [line for line in RECIPE.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    found = [re.fullmatch(r"([A-Z]+) (?:--mount=\S+ )?(.+)", line) for line in lines]
    return [(match[1], match[2]) for match in found if match]


def test_image_has_the_python_of_the_environments_and_no_other_instruction() -> None:
    assert [name for name, _ in instructions()] == KNOWN
    assert dict(instructions())["FROM"] == "python:3.11-slim"


@pytest.mark.slow
def test_commands_of_the_recipe_give_an_environment_that_runs_the_workflow(tmp_path: Path) -> None:
    system, outside = tmp_path / "system", "/usr/bin:/bin"
    system.mkdir()
    (system / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    (system / "python3").chmod(0o755)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    variables |= {"PATH": f"{system}:{outside}", "OMP_NUM_THREADS": "1"}
    for name, given in instructions():
        text = given.replace("/opt/", f"{tmp_path}/opt/")
        if name == "COPY":
            source, target = text.split()
            shutil.copytree(ENVS / source, target)
        elif name == "RUN":
            subprocess.run(["sh", "-c", text], env=variables, cwd=tmp_path, check=True)
        elif name == "ENV":
            variable, value = text.split("=", 1)
            variables[variable] = value.replace("$PATH", variables["PATH"])

    study = ["--cores", "1", "--workflow-profile", "none", "--snakefile", str(ROOT / "Snakefile")]
    study += ["--configfile", str(ROOT / "tests/workflow/tiny.yaml"), "--", SHOTS]
    for folder, command in (("inside", ["snakemake"]), ("outside", [sys.executable, "-m", "snakemake"])):
        (tmp_path / folder).mkdir()
        done = subprocess.run([*command, *study], env=variables, cwd=tmp_path / folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-6000:]
    held = subprocess.check_output(["python", "-c", "import torch, matplotlib, sys; print(sys.prefix)"], env=variables)
    assert Path(held.decode().strip()) == tmp_path / "opt" / "variad"
    assert (tmp_path / "inside" / SHOTS).read_bytes() == (tmp_path / "outside" / SHOTS).read_bytes()
    shutil.rmtree(tmp_path / "opt")  # gigabytes, which pytest would keep
