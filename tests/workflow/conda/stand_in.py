"""Stands in for conda where no conda channel can be reached: the commands that Snakemake gives, and no others.

An environment is a virtual environment of this Python with the YAML's pip list, installed without following
dependencies: what is not in the list is not there, and whether the list is complete can be asked. Conda itself hands
the list to ``pip install -U -r``, which would add what is missing.

It makes of channels what conda does (conda/env/installers/conda.py; its plugin conda-anaconda-tos):

- Up to 26.6 ``nodefaults`` in a file is no channel but a word, without which the channels of the user's own
  configuration are searched too, after the file's. From 26.7 on every entry of a file is a channel, and the file's are
  all that is searched.
- A package comes from the first channel that has it: that is what channel priority means, strict or not.
- The terms of Anaconda's channels have to be accepted by whoever has them configured, whatever a file names. Where
  nobody can be asked, which is so below Snakemake, conda ends there.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
OLD, NEW = "25.1.0", "26.9.0"
# What each channel that can be reached has of what our file asks for, beside its own pip list.
PACKAGES = {"conda-forge": ("python", "pip"), "defaults": ("python", "pip"), "bioconda": ()}
WITH_TERMS = ("defaults",)
# .condarc as an installer leaves it, and that of somebody who has read Anaconda's terms
MINIFORGE: dict[str, Any] = {"channels": ["conda-forge"], "channel_priority": "strict"}
MINICONDA: dict[str, Any] = {"channels": ["defaults"]}
ACCEPTED: dict[str, Any] = {**MINICONDA, "plugins": {"auto_accept_tos": True}}


def install_beside(folder: Path, version: str = NEW, configuration: dict[str, Any] = MINIFORGE) -> dict[str, str]:
    """Put ``conda`` and ``activate`` into ``folder/bin``; return the environment variables that go with them."""
    (folder / "bin").mkdir(parents=True)
    conda = folder / "bin" / "conda"
    conda.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n', encoding="utf-8")
    conda.chmod(0o755)
    (folder / "bin" / "activate").write_text('export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"\n', encoding="utf-8")
    (folder / ".condarc").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "STAND_IN_PREFIX": str(folder), "STAND_IN_VERSION": version}


def searched_channels(listed: Sequence[str], configured: Sequence[str], version: str) -> list[str]:
    """The channels that ``conda env create`` searches for a file that lists these, the first that counts first.

    Raises:
        SystemExit: one of them does not exist, or there is none.
    """
    searched = list(listed)
    if tuple(map(int, version.split("."))) < (26, 7):
        searched = [name for name in listed if name != "nodefaults"]
        searched += [] if "nodefaults" in listed else configured
    for name in searched:
        if name not in PACKAGES:
            sys.exit(f"UnavailableInvalidChannel: HTTP 404 NOT FOUND for channel {name}")
    if not searched:
        sys.exit("NoChannelsConfiguredError: no channels to search")
    return list(dict.fromkeys(searched))


def ask_for_terms(configuration: dict[str, Any]) -> None:
    """End as conda does below Snakemake, where terms of a configured channel have not been accepted.

    Raises:
        SystemExit: with the channels.
    """
    unread = [name for name in configuration.get("channels", []) if name in WITH_TERMS]
    if unread and not configuration.get("plugins", {}).get("auto_accept_tos"):
        sys.exit(f"CondaToSNonInteractiveError: Terms of Service have not been accepted for: {', '.join(unread)}")


def chosen_channels(dependencies: Sequence[Any], searched: Sequence[str]) -> dict[str, str]:
    """The channel that each of a file's conda packages is taken from.

    Raises:
        SystemExit: a package is nowhere, or a pip list has no pip to install it.
    """
    names = [str(line).split()[0] for line in dependencies if not isinstance(line, dict)]
    if len(names) < len(dependencies) and "pip" not in names:
        sys.exit("a pip list, but pip itself is not listed")
    found = {name: next((at for at in searched if name in PACKAGES[at]), "") for name in names}
    for name, channel in found.items():
        if not channel:
            sys.exit(f"PackagesNotFoundError: {name} is in none of {', '.join(searched)}")
    return found


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
    version, home = os.environ["STAND_IN_VERSION"], Path(os.environ["STAND_IN_PREFIX"])
    configuration = yaml.safe_load((home / ".condarc").read_text(encoding="utf-8"))
    if arguments == ["info", "--json"]:
        print(json.dumps({"conda_prefix": str(home), "platform": "linux-64"}))
    elif arguments == ["--version"]:
        print(f"conda {version}")
    elif arguments == ["config", "--get", "channel_priority", "--json"]:
        print(json.dumps({"get": {key: configuration[key] for key in ("channel_priority",) if key in configuration}}))
    elif arguments == ["clean", "-y", "--tarballs"]:
        pass
    elif arguments[:2] == ["env", "create"]:
        parser = argparse.ArgumentParser()
        for switch in ("--quiet", "--yes", "--no-default-packages"):
            parser.add_argument(switch, action="store_true")
        parser.add_argument("--file", type=Path)
        parser.add_argument("--prefix", type=Path)
        parsed = parser.parse_args(arguments[2:])
        ask_for_terms(configuration)
        asked = yaml.safe_load(parsed.file.read_text(encoding="utf-8"))
        channels = searched_channels(asked["channels"], configuration.get("channels", []), version)
        chosen = chosen_channels(asked["dependencies"], channels)
        create(parsed.file, parsed.prefix)
        found = {"searched": channels, "chosen": chosen}
        (parsed.prefix / "channels.json").write_text(json.dumps(found), encoding="utf-8")
    else:
        sys.exit(f"the stand-in for conda does not know: {' '.join(arguments)}")


if __name__ == "__main__":
    main(sys.argv[1:])
