"""What every script does around its work: a log, fixed threads, a device, errors in one sentence."""

import contextlib
import ctypes
import gc
import io
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from variad.core.errors import UserError
from variad.core.shortages import fault_of_disk, shortage
from variad.core.temporaries import clear_leftovers

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
    """Run a script's body with its log open.

    A ``UserError``, a full disk and used up memory become one sentence and exit status 1. What an attempt that was
    killed left beside the outputs is cleared.
    """
    threads = max(1, int(snakemake.threads))
    limit_threads(threads)
    keep_freed_memory()
    memory = int(snakemake.resources.get("mem_mb", 0)) * 10**6
    with _log_stream(snakemake) as stream:
        logger = _logger(stream)
        try:
            for folder in sorted({Path(path).parent for path in getattr(snakemake, "output", ())}):
                clear_leftovers(folder)  # of an attempt at this job that was killed
            yield Job(threads, choose_device(int(snakemake.resources.get("gpu", 0))), memory, logger)
        except Exception as error:
            rule = getattr(snakemake, "rule", "this job")
            sentence = str(error) if isinstance(error, UserError) else shortage(error, f"rule {rule}")
            if sentence is None:
                traceback.print_exc(file=stream)
                raise
            print(f"error: {sentence}", file=stream)
            if stream is not sys.stderr:
                print(f"error: {sentence}", file=sys.stderr)
            raise SystemExit(1) from None
    # all that is left ends with the process; to search what torch has loaded for garbage first takes half a second
    gc.freeze()


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
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        stream = _Log(path)
    except OSError as error:
        if fault_of_disk(error) is None:
            raise
        yield sys.stderr
        return
    with stream:
        yield stream


class _Log(io.TextIOWrapper):
    """A log that a job does without where the disk is full: lines wait for room, and are lost if none comes."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(open(path, "wb"), encoding="utf-8", newline="\n", line_buffering=True)  # noqa: SIM115

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def _logger(stream: TextIO) -> logging.Logger:
    logger = logging.getLogger("variad")
    logger.handlers = [logging.StreamHandler(stream)]
    logger.handlers[0].setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger
