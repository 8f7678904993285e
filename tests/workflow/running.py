"""Running the workflow as its users do, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/workflow/tiny.yaml"


def snakemake(folder: Path, *arguments: str | Path, config: Path = TINY) -> subprocess.CompletedProcess[str]:
    """Run Snakemake with the project's Snakefile in ``folder``."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--configfile", config, "--quiet", "host", *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, cwd=ROOT)


def succeed(folder: Path, *arguments: str | Path, config: Path = TINY) -> str:
    """As ``snakemake``, and it has to end well; what it said."""
    done = snakemake(folder, *arguments, config=config)
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout + done.stderr


def planned(folder: Path, *arguments: str | Path, config: Path = TINY) -> dict[str, int]:
    """Jobs by rule that a dry run announces."""
    said = succeed(folder, "--dry-run", *arguments, config=config)
    if "Job stats:" not in said:
        return {}
    table = said.split("Job stats:")[1].split("total")[0].splitlines()[3:]
    return {line.split()[0]: int(line.split()[1]) for line in table if line.strip()}
