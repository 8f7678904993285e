"""Make the conda environments from the lock: ``python envs/generate.py [--resolve]``.

``<name>.in`` names what a concern needs, ``requirements.lock`` pins all of it, and ``<name>.yaml`` lists the pins of
one concern, with everything that it pulls in. A YAML names its packages itself: Snakemake copies it, so it cannot refer
to another file. ``--resolve`` first makes the locks again with uv, which asks the package index; versions that are
locked stay, unless a source asks for others. Delete a lock to have the newest of everything.
"""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ENVS = Path(__file__).resolve().parent
CONDA_ENVIRONMENTS = ("base", "torch", "report")
# Each with the locks whose versions it is resolved within, so that the tests run what the workflow runs. The peer of
# `make bench` has requirements of its own, and an environment of its own.
LOCKS: dict[str, tuple[str, ...]] = {
    "installer": (),
    "requirements": (),
    "requirements-test": ("requirements",),
    "bench": (),
}
PYTHON = "3.11"


@dataclass(frozen=True)
class Pin:
    """A package in a lock: ``requirement`` is ``name==version ; marker``, ``wanted_by`` packages and ``-r`` files."""

    name: str
    requirement: str
    wanted_by: frozenset[str]


def main() -> None:
    parser = argparse.ArgumentParser(description="make envs/*.yaml from envs/requirements.lock")
    parser.add_argument("--resolve", action="store_true", help="make envs/*.lock from envs/*.in first")
    if parser.parse_args().resolve:
        for lock, within in LOCKS.items():
            _resolve(lock, within)
    pins = read_lock(ENVS / "requirements.lock")
    for name in CONDA_ENVIRONMENTS:
        (ENVS / f"{name}.yaml").write_text(conda_environment(name, pins), encoding="utf-8")


def read_lock(path: Path) -> list[Pin]:
    """The pins of a lock file, in its order, read with the comments that say who wants them."""
    blocks = re.split(r"\n(?=\S)", path.read_text(encoding="utf-8"))
    return [_read_pin(block) for block in blocks if "==" in block.splitlines()[0]]


def _read_pin(block: str) -> Pin:
    requirement = block.splitlines()[0].removesuffix("\\").strip()
    comments = [line.strip().removeprefix("#").strip().removeprefix("via").strip() for line in block.splitlines()[1:]]
    wanted_by = frozenset(comment for comment in comments if comment and not comment.startswith("--hash"))
    return Pin(requirement.split("==")[0], requirement, wanted_by)


def closure(pins: list[Pin], sources: set[str]) -> list[Pin]:
    """The pins that are wanted by one of the files ``sources``, and all that these want in turn."""
    wanted = {f"-r envs/{source}" for source in sources}
    while more := {pin.name for pin in pins if pin.wanted_by & wanted} - wanted:
        wanted |= more
    return [pin for pin in pins if pin.name in wanted]


def included(source: str) -> set[str]:
    """``source`` and the requirement files that it includes."""
    lines = (ENVS / source).read_text(encoding="utf-8").splitlines()
    nested = [included(line.split()[1]) for line in lines if line.startswith("-r ")]
    return {source}.union(*nested)


def conda_environment(name: str, pins: list[Pin]) -> str:
    """The text of ``<name>.yaml``."""
    head = f"# Made by envs/generate.py from {name}.in and requirements.lock: change those, then `make lock`.\n"
    # no `nodefaults`, a word up to conda 26.6 and a channel that does not exist from 26.7 on
    conda = f"channels:\n  - conda-forge\ndependencies:\n  - python ={PYTHON}\n  - pip\n  - pip:\n"
    return head + conda + "".join(f"      - {pin.requirement}\n" for pin in closure(pins, included(f"{name}.in")))


def _resolve(lock: str, within: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", f"envs/{lock}.in", "--output-file", f"envs/{lock}.lock"]
    # One version of a package for every Python and system, so that the same numbers can be expected everywhere.
    command += ["--universal", "--python-version", PYTHON, "--fork-strategy", "fewest", "--generate-hashes"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--quiet"]
    command += [f"--constraint=envs/{name}.lock" for name in within]
    environment = {**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "make lock"}
    subprocess.run(command, cwd=ENVS.parent, env=environment, check=True)


if __name__ == "__main__":
    main()
