"""Measurements in processes of their own without paying for imports each time; standard library only.

A server imports what it needs once, and forks for every measurement: peaks of memory stay apart, and two servers can
take turns. Requests and answers are one line of JSON each.
"""

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

Measurement = Callable[[dict[str, Any]], dict[str, Any]]


def serve(load: Callable[[], Measurement]) -> None:
    """Answer requests until the input ends; ``load`` does the imports. What is measured may print, to the log."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    begin = time.perf_counter()
    measure = load()
    _say(answers, {"import_s": round(time.perf_counter() - begin, 2)})
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_answer(answers, measure, json.loads(line)))
        if os.waitpid(child, 0)[1]:
            _say(answers, {"error": "the measurement failed; see the log"})


def _answer(answers: TextIO, measure: Measurement, request: dict[str, Any]) -> int:
    try:
        found = measure(request)
    except BaseException:
        traceback.print_exc()
        return 1
    _say(answers, found)
    return 0


def _say(answers: TextIO, found: dict[str, Any]) -> None:
    answers.write(json.dumps(found) + "\n")
    answers.flush()


class Server:
    """A server's process, seen from outside: ``python script``, started with a number of threads."""

    def __init__(self, command: list[str], threads: int, log: TextIO) -> None:
        fixed = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        fixed["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # else imports start CUDA, which does not survive a fork
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
        self._process = subprocess.Popen(command, env={**os.environ, **fixed}, text=True, **pipes)  # type: ignore[call-overload]
        self._command = command
        self.import_s = float(self._read()["import_s"])

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """One measurement, in its own process."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        found: dict[str, Any] = json.loads(line) if line else {"error": "it ended; see the log"}
        if "error" in found:
            raise RuntimeError(f"{' '.join(self._command)}: {found['error']}")
        return found
