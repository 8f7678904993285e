"""Stands in for conda where no conda channel can be reached: the commands that Snakemake gives, and no others.

An environment is a virtual environment of this Python with the YAML's pip list, installed without following
dependencies: what is not in the list is not there, and whether the list is complete can be asked.

It makes of ``channels`` what the version of conda that it is told to be does: up to 26.6 ``nodefaults`` was no channel
but a word, without which those of the user's own configuration were searched too, after the file's; from 26.7 on every
entry is a channel.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
OLD, NEW = "25.1.0", "26.9.0"
CONFIGURED = ("defaults",)  # what a conda from Anaconda's installers is configured with
REACHABLE = ("conda-forge", "defaults")


def install_beside(folder: Path, version: str = NEW) -> dict[str, str]:
    """Put ``conda`` and ``activate`` into ``folder/bin``; return the environment variables that go with them."""
    (folder / "bin").mkdir(parents=True)
    conda = folder / "bin" / "conda"
    conda.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n', encoding="utf-8")
    conda.chmod(0o755)
    (folder / "bin" / "activate").write_text('export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"\n', encoding="utf-8")
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "STAND_IN_PREFIX": str(folder), "STAND_IN_VERSION": version}


def searched_channels(listed: list[str], version: str) -> list[str]:
    """The channels that ``conda env create`` searches for an environment file that lists these."""
    if tuple(map(int, version.split("."))) < (26, 7):
        special = "nodefaults" in listed
        listed = [name for name in listed if name != "nodefaults"] + ([] if special else list(CONFIGURED))
    for name in listed:
        if name not in REACHABLE:
            sys.exit(f"UnavailableInvalidChannel: HTTP 404 NOT FOUND for channel {name}")
    return listed


def create(file: Path, prefix: Path) -> Path:
    """Make the environment of a YAML file at ``prefix``; return its Python. Raises when the list is incomplete."""
    pins = yaml.safe_load(file.read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    python = prefix / "bin" / "python"
    listed = prefix / "pip.txt"
    listed.write_text("\n".join(pins) + "\n", encoding="utf-8")
    uv = [sys.executable, "-m", "uv", "pip"]
    settings = {**os.environ, **_settings_for_uv()}
    command = [*uv, "install", "--quiet", "--no-deps", "--python", python, "-r", listed]
    subprocess.run(command, env=settings, check=True)
    subprocess.run([*uv, "check", "--quiet", "--python", python], check=True)
    return python


def _settings_for_uv() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("envs_install", ROOT / "envs" / "install.py")
    assert spec and spec.loader
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    settings: dict[str, str] = install._settings_for_uv(Path(sys.prefix))
    return settings


def main(arguments: list[str]) -> None:
    if arguments == ["info", "--json"]:
        print(json.dumps({"conda_prefix": os.environ["STAND_IN_PREFIX"], "platform": "linux-64"}))
    elif arguments == ["--version"]:
        print(f"conda {os.environ['STAND_IN_VERSION']}")
    elif arguments == ["config", "--get", "channel_priority", "--json"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments == ["clean", "-y", "--tarballs"]:
        pass
    elif arguments[:2] == ["env", "create"]:
        parser = argparse.ArgumentParser()
        for switch in ("--quiet", "--yes", "--no-default-packages"):
            parser.add_argument(switch, action="store_true")
        parser.add_argument("--file", type=Path)
        parser.add_argument("--prefix", type=Path)
        parsed = parser.parse_args(arguments[2:])
        listed = yaml.safe_load(parsed.file.read_text(encoding="utf-8"))["channels"]
        channels = searched_channels(listed, os.environ["STAND_IN_VERSION"])
        create(parsed.file, parsed.prefix)
        (parsed.prefix / "channels.txt").write_text("\n".join(channels), encoding="utf-8")
    else:
        sys.exit(f"the stand-in for conda does not know: {' '.join(arguments)}")


if __name__ == "__main__":
    main(sys.argv[1:])
