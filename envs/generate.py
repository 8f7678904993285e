"""Make the conda environment from the lock: ``python envs/generate.py [--resolve]``.

``<name>.in`` names what a concern needs, ``requirements.lock`` pins all of it, and ``variad.yaml`` lists the pins of
all concerns, which is everything but Snakemake itself. One environment for all rules: three would hold the same files
two and three times. The YAML names its packages itself: Snakemake copies it, so it cannot refer to another file.
``--resolve`` first makes the locks again with uv, which asks the package index; versions that are locked stay, unless a
source asks for others. Delete a lock to have the newest of everything.
"""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ENVS = Path(__file__).resolve().parent
CONDA_ENVIRONMENT = ENVS / "variad.yaml"
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
    parser = argparse.ArgumentParser(description="make envs/variad.yaml from envs/requirements.lock")
    parser.add_argument("--resolve", action="store_true", help="make envs/*.lock from envs/*.in first")
    if parser.parse_args().resolve:
        for lock, within in LOCKS.items():
            _resolve(lock, within)
    CONDA_ENVIRONMENT.write_text(conda_environment(read_lock(ENVS / "requirements.lock")), encoding="utf-8")


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


def conda_environment(pins: list[Pin]) -> str:
    """The text of ``variad.yaml``."""
    sources = included("requirements.in") - {"requirements.in"}  # whose own lines are Snakemake and its plugin
    made_from = f"{', '.join(sorted(sources))} and requirements.lock"
    head = f"# Made by envs/generate.py from {made_from}: change those, then `make lock`.\n"
    # no `nodefaults`, a word up to conda 26.6 and a channel that does not exist from 26.7 on
    conda = f"channels:\n  - conda-forge\ndependencies:\n  - python ={PYTHON}\n  - pip\n  - pip:\n"
    return head + conda + "".join(f"      - {pin.requirement}\n" for pin in closure(pins, sources))


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
