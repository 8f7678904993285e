"""Asking Snakemake itself what it would run."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from variad.errors import UserError


def dry_run(python: str, snakefile: str | Path, config: Mapping[str, Any], targets: Sequence[str]) -> str:
    """What ``snakemake --dry-run`` says of some targets, in this folder; it takes no lock, so it runs inside a job too.

    Args:
        python: the interpreter that has Snakemake.
        config: what the user gave; its section ``plan`` is left out, as it changes nothing of what runs.

    Raises:
        UserError: Snakemake ends with an error, such as a missing input.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        given = {key: value for key, value in config.items() if key != "plan"}
        file.write_text(yaml.safe_dump(given, sort_keys=False, allow_unicode=True), "utf-8")
        command = [python, "-m", "snakemake", "--dry-run", "--snakefile", str(snakefile), "--configfile", str(file)]
        done = subprocess.run([*command, "--", *targets], capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise UserError(
            f"snakemake --dry-run {' '.join(targets)}: expected a list of jobs, found: {' '.join(lines[-6:])}"
        )
    return done.stdout + done.stderr
