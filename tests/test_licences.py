"""The list of licences: what the lock names, said as the packages say it."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from .test_envs import ENVS, generate, load

sys.path.append(str(ENVS))  # where a script of that folder finds its neighbour
licences = load("licences")
PINS = generate.read_lock(ENVS / "requirements.lock")
TEXT = licences.TABLE.read_text("utf-8")
LISTED = re.findall(r"^\| ([a-z0-9-]+) \| (\d\S*) \| (.+) \|$", TEXT.split("\nAll ")[1], re.M)


def test_every_package_of_the_lock_is_listed_with_its_version():
    assert [f"{name}=={version}" for name, version, _ in LISTED] == [
        pin.requirement.split(";")[0].strip() for pin in PINS
    ], "run `make reference`"


def test_licences_are_what_the_installed_packages_say():
    checked = 0
    for name, locked, said in LISTED:
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        if installed == locked:
            assert said == licences.licence(name), f"{name}: run `make reference`"
            checked += 1
    assert checked > 50


@pytest.mark.parametrize(
    ("name", "said"),
    [("numpy", "BSD-3-Clause"), ("elpv-dataset", "CC-BY-NC-SA-4.0"), ("conda-inject", "MIT License")],
    ids=["expression", "of data", "first line of its file"],
)
def test_a_known_licence(name, said):
    assert licences.licence(name).startswith(said)


def test_what_forbids_something_stands_first():
    first = TEXT.split("\nAll ")[0]
    assert "| elpv-dataset |" in first and "| numpy |" not in first
    assert licences.licence("no-such-package") == licences.ELSEWHERE
