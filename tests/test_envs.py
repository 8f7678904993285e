"""The conda environment and the locks: one source, nothing missing, nothing that only works on one machine."""

import importlib.util
import re
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.rule_packages import ROOT, Rule, imported_packages, rules_with_scripts

ENVS = ROOT / "envs"
LOCKS = sorted(ENVS.glob("*.lock"))
RULES = rules_with_scripts()


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"envs_{name}", ENVS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load("generate")


def _pip_list() -> list[str]:
    return yaml.safe_load(generate.CONDA_ENVIRONMENT.read_text(encoding="utf-8"))["dependencies"][-1]["pip"]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _normalised_name(requirement: str) -> str:
    return _normalised(requirement.split("==")[0])


def test_conda_environment_is_what_the_lock_gives() -> None:
    expected = generate.conda_environment(generate.read_lock(ENVS / "requirements.lock"))
    assert generate.CONDA_ENVIRONMENT.read_text(encoding="utf-8") == expected, "run `make lock`"


def test_conda_environment_holds_a_channel_a_python_and_the_pins_and_nothing_else() -> None:
    """Since conda 26.7 every entry of ``channels`` is a channel, ``nodefaults`` too; a prefix is Snakemake's."""
    text = generate.CONDA_ENVIRONMENT.read_text(encoding="utf-8")
    environment = yaml.safe_load(text)
    assert list(environment) == ["channels", "dependencies"]
    assert environment["channels"] == ["conda-forge"]
    python, pip, listed = environment["dependencies"]
    assert [python, pip, list(listed)] == ["python =3.11", "pip", ["pip"]]
    locked = {pin.requirement for pin in generate.read_lock(ENVS / "requirements.lock")}
    assert listed["pip"] and set(listed["pip"]) <= locked
    assert listed["pip"] == sorted(set(listed["pip"]), key=_normalised_name)
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [^@]+)?", line) for line in listed["pip"])
    assert not re.search(r"://|@|defaults|^\s*-?\s*-[-a-z]", text, re.M)


def test_conda_environment_holds_every_concern_and_not_snakemake() -> None:
    held = {_normalised_name(line) for line in _pip_list()}
    assert {"pandas", "torch", "matplotlib"} <= held  # base, torch, report
    assert not any(name.startswith("snakemake") for name in held)


def test_every_line_of_the_sources_is_locked() -> None:
    locked = {pin.name for pin in generate.read_lock(ENVS / "requirements-test.lock")}
    for source in generate.included("requirements-test.in"):
        lines = (ENVS / source).read_text(encoding="utf-8").splitlines()
        names = {_normalised(line.split("==")[0]) for line in lines if line and line[0] not in "#-"}
        assert names <= locked, "run `make lock`"


def test_tests_run_with_the_versions_of_the_workflow() -> None:
    run, test = (generate.read_lock(ENVS / f"{name}.lock") for name in ("requirements", "requirements-test"))
    assert {pin.requirement for pin in run} <= {pin.requirement for pin in test}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_names_versions_and_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"://|^\s*-[^-]|--(?!hash=sha256:[0-9a-f]{64}\b)|(?<![\w.-])/\w", text, re.M)
    for block in re.split(r"\n(?=\S)", text):
        if not block.startswith("#"):
            assert re.match(r"[a-z0-9-]+==\S+", block) and "--hash=sha256:" in block


def test_closure_follows_who_wants_what(tmp_path: Path) -> None:
    lock = tmp_path / "small.lock"
    lock.write_text(
        "# made by hand\n"
        "apple==1 \\\n    --hash=sha256:00\n    # via -r envs/one.in\n"
        "core==2 ; sys_platform == 'linux' \\\n    --hash=sha256:01\n    # via\n    #   apple\n    #   pear\n"
        "pear==3 \\\n    --hash=sha256:02\n    # via -r envs/two.in\n"
        "seed==4 \\\n    --hash=sha256:03\n    # via core\n",
        encoding="utf-8",
    )
    pins = generate.read_lock(lock)
    assert [pin.requirement for pin in generate.closure(pins, {"one.in"})] == [
        "apple==1",
        "core==2 ; sys_platform == 'linux'",
        "seed==4",
    ]
    assert [pin.name for pin in generate.closure(pins, {"two.in"})] == ["core", "pear", "seed"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_environment_of_a_rule_holds_what_its_script_imports(rule: Rule) -> None:
    assert rule.conda == generate.CONDA_ENVIRONMENT.name
    held = {_normalised_name(line) for line in _pip_list()}
    distributions = packages_distributions()
    missing = {
        module: sorted(files)
        for module, files in imported_packages(rule).items()
        if not held & {_normalised(name) for name in distributions.get(module, [module])}
    }
    assert not missing, f"not in {rule.conda}"
