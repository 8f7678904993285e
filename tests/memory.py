"""What a piece of code returns and how much memory it takes, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# A child's ru_maxrss begins with its parent's; the high-water mark of its own address space does not.
PEAK = """
import json, pathlib, re
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) / 2**20
print(json.dumps({"result": result, "peak_gib": peak}))
"""


def measured(code: str, *arguments: object) -> tuple[Any, float]:
    """Run ``code``, which has ``sys.argv`` and leaves ``result``, and return that and its peak memory in GiB."""
    paths = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'workflow' / 'lib')]!r}\n"
    command = [sys.executable, "-c", paths + code + PEAK, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return found["result"], found["peak_gib"]
