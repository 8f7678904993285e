"""What every script does around its work: a log, fixed threads, a device, checksums, errors in one sentence."""

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
from typing import TYPE_CHECKING, Any, TextIO

from variad.core.checksums import after_job, before_job, check
from variad.core.errors import UserError
from variad.core.shortages import fault_of_disk, shortage
from variad.core.temporaries import clear_leftovers

if TYPE_CHECKING:
    from variad.core.devices import Lease

# glibc's numbers of two settings of its allocator, and the largest block that it can keep (malloc.h, malloc/malloc.c)
TRIM_THRESHOLD, MMAP_THRESHOLD, LARGEST_KEPT = -1, -3, 32 * 2**20
# of this process; a device is needed as long as anything lies on it
_LEASED: "list[Lease]" = []


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

    A ``UserError``, a full disk, used up memory and a GPU that fails become one sentence and exit status 1. What an
    attempt that was killed left beside the outputs is cleared. Inputs are compared with their checksums before, and
    those of outputs recorded after.
    """
    threads = max(1, int(snakemake.threads))
    limit_threads(threads)
    keep_freed_memory()
    resources = snakemake.resources
    memory = int(resources.get("mem_mb", 0)) * 10**6
    with _log_stream(snakemake) as stream:
        logger, results, outputs = _logger(stream), results_folder(snakemake), getattr(snakemake, "output", ())
        try:
            for folder in sorted({Path(path).parent for path in outputs}):
                clear_leftovers(folder)  # of an attempt at this job that was killed
            check(getattr(snakemake, "input", ()), results)
            for damage in before_job(outputs):
                logger.warning("%s; removed, nothing of it is taken over", damage)
            gpus, gpu_mb = int(resources.get("gpu", 0)), int(resources.get("gpu_mb", 0))
            yield Job(threads, choose_device(gpus, gpu_mb, _wants_any_device(snakemake)), memory, logger)
            after_job(outputs, results)
        except Exception as error:
            sentence = _sentence_of(error, getattr(snakemake, "rule", "this job"))
            if sentence is None:
                traceback.print_exc(file=stream)
                raise
            print(f"error: {sentence}", file=stream)
            if stream is not sys.stderr:
                print(f"error: {sentence}", file=sys.stderr)
            raise SystemExit(1) from None
        finally:
            give_device_back()
    # all that is left ends with the process; to search what torch has loaded for garbage first takes half a second
    gc.freeze()


def results_folder(snakemake: Any) -> Path | None:
    """The folder of results that a job works in, as its log lies in ``results/logs``; None without a log."""
    parents = Path(snakemake.log[0]).parents if len(snakemake.log) else []
    return next((path.parent for path in parents if path.name == "logs"), None)


def choose_device(gpus: int, gpu_mb: int = 0, any_device: bool = False) -> str:
    """The device of a job: ``cuda`` for one that was given a GPU, else ``cpu``; the one place where that is decided.

    A job leases its device until it ends (``variad.core.devices``), and sees no other. It waits for one, and says so in
    its log. Where it shares it, it cannot take more memory than it declared.

    Args:
        gpus: how many it was given; more than one are one.
        gpu_mb: memory of the GPU that it takes, MiB, so that others may share the device; 0 is a device of its own.
        any_device: a CPU does as well (``run.gpu: auto``).

    Raises:
        UserError: a GPU was asked for, and there is none that torch can use.
    """
    if gpus < 1:
        return "cpu"
    from variad.core.devices import lease, take

    give_device_back()
    leased = lease(gpu_mb, say=logging.getLogger("variad").info)
    lacking = take(leased)
    if leased is None or lacking is not None:
        if leased is not None:
            leased.give_back()
        if not any_device:
            raise UserError(
                f"a GPU was asked for (run.gpu, or resource gpu): expected one that torch can use, found {lacking}; "
                "run.gpu: 0 computes on the CPU, and auto on what is there."
            )
        logging.getLogger("variad").warning("no GPU that torch can use (%s); computing on the CPU", lacking)
        return "cpu"
    _LEASED.append(leased)
    import torch

    logging.getLogger("variad").info(
        "on %s (%s), %.0f %% of it", leased.device.card, leased.device.name, 100 * leased.share
    )
    # torch convolves in TF32 unless told not to; where a setting asks for TF32, variad.core.precision turns it on
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return "cuda"


def give_device_back() -> None:
    """End the lease of this process's device, if it has one."""
    while _LEASED:
        _LEASED.pop().give_back()


def _wants_any_device(snakemake: Any) -> bool:
    config = getattr(snakemake, "config", None) or {}
    return bool(config.get("run", {}).get("gpu") == "auto")


def _sentence_of(error: Exception, rule: str) -> str | None:
    """What a person can do something about, in one sentence; None of anything else."""
    return str(error) if isinstance(error, UserError) else _of_gpu(error) or shortage(error, f"rule {rule}")


def _of_gpu(error: Exception) -> str | None:
    if "torch" not in sys.modules:
        return None
    from variad.core.devices import sentence_of

    return sentence_of(error, _LEASED[0].device.card if _LEASED else "GPU")


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
