"""The profiles: the harmless one is found on its own, and the cluster's one holds all of its settings."""

import subprocess
import sys

import yaml

from tests.rule_packages import ROOT, rules_with_scripts

PROFILES = ROOT / "workflow" / "profiles"


def _settings(name: str) -> dict[str, object]:
    settings: dict[str, object] = yaml.safe_load((PROFILES / name / "profile.yaml").read_text(encoding="utf-8"))
    return settings


def test_bare_snakemake_takes_the_default_profile() -> None:
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "all"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "profile" in found.stderr and "profiles/default" in found.stderr


def test_default_profile_chooses_nothing_for_the_user() -> None:
    assert set(_settings("default")) == {"scheduler", "scheduler-subsample", "rerun-incomplete", "show-failed-logs"}


def test_slurm_profile_repeats_the_default_one() -> None:
    slurm = _settings("slurm")
    assert slurm["executor"] == "slurm"
    assert _settings("default").items() <= slurm.items()


def test_slurm_profile_names_every_rule_that_uses_a_gpu() -> None:
    text = (PROFILES / "slurm" / "profile.yaml").read_text(encoding="utf-8")
    with_gpu = yaml.safe_load("".join(line[2:] for line in text.splitlines(keepends=True) if "{gpu: 1" in line))
    assert set(with_gpu) == {rule.name for rule in rules_with_scripts() if rule.asks_for_gpu}
