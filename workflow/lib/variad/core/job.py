"""What every script does around its work: a log, fixed threads, a device, checksums, errors in one sentence."""

import contextlib
import ctypes
import gc
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from variad.core.checksums import after_job, before_job, check
from variad.core.errors import UserError

# glibc's numbers of two settings of its allocator, and the largest block that it can keep (malloc.h, malloc/malloc.c)
TRIM_THRESHOLD, MMAP_THRESHOLD, LARGEST_KEPT = -1, -3, 32 * 2**20


@dataclass(frozen=True)
class Job:
    """What a running job may know about its place: CPU threads, a device name, memory granted (bytes), and its log."""

    threads: int
    device: str
    memory: int
    log: logging.Logger

    def warn(self, sentence: str) -> None:
        """Say something that a person has to know, in the log and on the terminal."""
        self.log.warning("%s", sentence)
        print(f"warning: {sentence}", file=sys.stderr)


@contextlib.contextmanager
def job(snakemake: Any) -> Iterator[Job]:
    """Run a script's body with its log open; a ``UserError`` becomes one sentence and exit status 1.

    Inputs are compared with their checksums before, and those of outputs recorded after.
    """
    threads = max(1, int(snakemake.threads))
    limit_threads(threads)
    keep_freed_memory()
    memory = int(snakemake.resources.get("mem_mb", 0)) * 10**6
    with _log_stream(snakemake) as stream:
        logger, results = _logger(stream), results_folder(snakemake)
        try:
            check(snakemake.input, results)
            for damage in before_job(snakemake.output):
                logger.warning("%s; removed, nothing of it is taken over", damage)
            yield Job(threads, choose_device(int(snakemake.resources.get("gpu", 0))), memory, logger)
            after_job(snakemake.output, results)
        except UserError as error:
            print(f"error: {error}", file=stream)
            if stream is not sys.stderr:
                print(f"error: {error}", file=sys.stderr)
            raise SystemExit(1) from None
        except Exception:
            traceback.print_exc(file=stream)
            raise
    # all that is left ends with the process; to search what torch has loaded for garbage first takes half a second
    gc.freeze()


def results_folder(snakemake: Any) -> Path | None:
    """The folder of results that a job works in, as its log lies in ``results/logs``; None without a log."""
    parents = Path(snakemake.log[0]).parents if len(snakemake.log) else []
    return next((path.parent for path in parents if path.name == "logs"), None)


def choose_device(gpus: int) -> str:
    """The device of a job: ``cuda`` when the scheduler gave it a GPU and one is there, else ``cpu``.

    Jobs that share a machine do not collide: the visible devices are the scheduler's to set.
    """
    if gpus < 1:
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    # torch convolves in TF32 unless told not to; where a setting asks for TF32, variad.core.precision turns it on
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return "cuda"


def keep_freed_memory() -> bool:
    """Let the allocator reuse what was freed in place of returning it to the kernel; False where it cannot be told so.

    The activations of a network are megabytes each. glibc maps blocks of that size anew every time, and the kernel
    clears their pages on the first write: a third of the time of decoding in float32, forward and backward. The peak of
    memory stays as it is.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    return bool(mallopt and mallopt(MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(TRIM_THRESHOLD, 2**31 - 1))


def limit_threads(threads: int) -> None:
    """Hold the numerical libraries to so many threads each."""
    # Read when the numerical libraries load, so this has to come before torch is imported.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


@contextlib.contextmanager
def _log_stream(snakemake: Any) -> Iterator[TextIO]:
    path = snakemake.log[0] if len(snakemake.log) else None
    if path is None:
        yield sys.stderr
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", buffering=1) as stream:
        yield stream


def _logger(stream: TextIO) -> logging.Logger:
    logger = logging.getLogger("variad")
    logger.handlers = [logging.StreamHandler(stream)]
    logger.handlers[0].setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger
