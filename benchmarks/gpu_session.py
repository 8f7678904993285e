"""All that a GPU has to show, in ten minutes: one command on a machine that is lent for a while.

    python benchmarks/gpu_session.py --output session            # tests, generator, detectors, unit costs
    python benchmarks/gpu_session.py --output session --peer .venv-bench/bin/python    # and anomalib beside them

Parts run one after another, the most telling first, each with a limit of its own. One that fails or takes too long is
said, and the rest go on: what it had written by then stays. Committed rows are replaced by hand, once they are read.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MINUTES = 10


@dataclass(frozen=True)
class Part:
    """Something to run: a name, the words after the Python that runs this, and seconds after which it is ended."""

    name: str
    words: Sequence[str]
    seconds: int


def parts(output: Path, peer: str | None) -> list[Part]:
    """What is run, in order.

    Args:
        output: the folder that tables are written to.
        peer: a Python that has anomalib, or none.
    """
    beside = ["--peer", peer] if peer else []
    cuda = ["--device", "cuda"]

    def benchmark(name: str, *words: str) -> list[str]:
        return [str(HERE / f"{name}.py"), *words, "--output", str(output / f"{name}.csv")]

    return [
        Part("tests", ["-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"], 170),
        Part("generation_gpu", benchmark("generation_gpu", "--limit", "140"), 150),
        Part("detectors", benchmark("detectors", *cuda, "--seeds", "1", "--threads", "4", *beside), 130),
        Part("gpu_steps", benchmark("gpu_steps", *cuda), 60),
        Part("unit_costs", benchmark("unit_costs", *cuda), 80),
    ]


def run(part: Part, output: Path) -> str:
    """Run a part with its words in ``output/NAME.log``; how it ended, in words."""
    began = time.monotonic()
    with open(output / f"{part.name}.log", "w", encoding="utf-8") as log:
        try:
            code = subprocess.run(
                [sys.executable, *part.words],
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=part.seconds,
                cwd=HERE.parent,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return f"ended after its {part.seconds} s"
    ended = "done" if code == 0 else f"failed with status {code}, see {log.name}"
    return f"{ended}, {time.monotonic() - began:.0f} s"


def main() -> int:
    """Run every part; 1 if one did not end well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="a folder for tables and logs")
    parser.add_argument("--peer", help="a Python that has anomalib (make bench sets one up)")
    given = parser.parse_args()
    output = given.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    card = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv"]
    try:
        told = subprocess.run(card, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"error: expected a GPU that nvidia-smi knows, found: {error}", file=sys.stderr)
        return 1
    (output / "card.txt").write_text(told, "utf-8")
    print(told, end="", flush=True)
    endings = []
    for part in parts(output, given.peer):
        endings.append(run(part, output))
        print(f"{part.name}: {endings[-1]}", flush=True)
    return int(not all(ending.startswith("done") for ending in endings))


if __name__ == "__main__":
    sys.exit(main())
