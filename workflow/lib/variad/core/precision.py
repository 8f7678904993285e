"""What a device computes in: the one place that says what ``float32``, ``tf32`` and ``bfloat16`` mean, and where.

========== =================================== ===========================================================
precision  on a GPU                            on a CPU
========== =================================== ===========================================================
float32    no product in TF32                  float32
tf32       products and convolutions in TF32   float32: the inputs of its products are not rounded
bfloat16   weights cast once, or autocast      autocast, where there are instructions for it; else float32
========== =================================== ===========================================================

oneDNN heeds the environment variable ``ONEDNN_MAX_CPU_ISA`` and torch asks oneDNN, so ``ONEDNN_MAX_CPU_ISA=AVX2`` makes
of any x86 processor one without instructions for bfloat16.
"""

import contextlib
import functools
import logging
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch.utils import deterministic

PRECISIONS = ("float32", "tf32", "bfloat16")
X86 = ("x86_64", "AMD64")
log = logging.getLogger("variad")
_MEMORY: Any = deterministic  # sets its one attribute by a class of its own

# cuBLAS reads it when it is first used: room for sums whose order does not change from run to run
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@dataclass(frozen=True)
class Arithmetic:
    """How one kind of device computes in one precision; all that differs between devices is asked here.

    Attributes:
        precision: ``float32``, ``tf32`` or ``bfloat16``: what is computed in, where that is not what was asked for.
        gpu: whether the device is a GPU.
        graph: whether steps of fixed shapes are recorded once and replayed, so that the GPU need not wait for Python.
    """

    precision: str
    gpu: bool = False
    graph: bool = False

    @classmethod
    def of(cls, precision: str, device: str | torch.device) -> Self:
        """The arithmetic of a device such as ``cpu`` or ``cuda:0``.

        Raises:
            ValueError: an unknown precision.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
        gpu = torch.device(device).type != "cpu"
        return cls(precision if gpu else _of_cpu(precision), gpu, gpu)

    @property
    def weights(self) -> torch.dtype:
        """What a frozen network's weights are stored in: on a GPU autocast would cast them anew at every step."""
        return torch.bfloat16 if self.gpu and self.precision == "bfloat16" else torch.float32

    def autocast(self, device: str | torch.device) -> torch.autocast:
        """``torch.autocast`` in bfloat16 where that is the precision; else it changes nothing."""
        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.precision == "bfloat16")

    @contextlib.contextmanager
    def kernels(self) -> Iterator[None]:
        """On a GPU: TF32 if it is asked for and nowhere else, and of each kernel the one that repeats its result.

        torch computes convolutions in TF32 unless it is told not to. Where an operation has no kernel that repeats its
        result, the usual one runs. On a CPU nothing changes.
        """
        if not self.gpu:
            yield
            return
        filled, mode = _MEMORY.fill_uninitialized_memory, torch.get_deterministic_debug_mode()
        _MEMORY.fill_uninitialized_memory = False  # would be a pass over memory
        # as ``use_deterministic_algorithms(True, warn_only=True)``, which imports torch's compiler
        torch.set_deterministic_debug_mode("warn")
        try:
            with products(self.precision, "cuda"):
                yield
        finally:
            torch.set_deterministic_debug_mode(mode)
            _MEMORY.fill_uninitialized_memory = filled


@contextlib.contextmanager
def products(precision: str, device: str | torch.device) -> Iterator[None]:
    """Within it a GPU's products and convolutions of float32 are in TF32 if ``precision`` is ``tf32``, else exact.

    The setting is the process's. On a CPU it is left alone, so that threads that score at once cannot leave it changed.
    """
    if torch.device(device).type == "cpu":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def in_bfloat16(precision: str, device: str | torch.device) -> bool:
    """Whether to compute in bfloat16: where it is asked for, and where the device has instructions for it.

    A CPU without them would take many times as long as in float32, which it gets, with a warning.

    Args:
        precision: one of ``PRECISIONS``.
        device: such as ``cpu`` or ``cuda:0``.
    """
    return Arithmetic.of(precision, device).precision == "bfloat16"


def of_scores(precision: str, device: str | torch.device) -> str:
    """The precision that scores are computed in by a detector that was trained in ``precision``.

    On a CPU it is float32, for a threshold from one processor has to hold on another, which may lack bfloat16, and in
    other runtimes.
    """
    return precision if torch.device(device).type == "cuda" else "float32"


def autocast(precision: str, device: str | torch.device) -> torch.autocast:
    """``torch.autocast`` in bfloat16 where ``in_bfloat16`` says so; elsewhere it changes nothing."""
    return Arithmetic.of(precision, device).autocast(device)


def packs_convolutions(dtype: torch.dtype) -> bool:
    """Whether convolutions of this precision on the CPU gain by weights that oneDNN has packed.

    They are its own on x86 processors alone; in bfloat16 it refuses to pack where there are no instructions.
    """
    if platform.machine() not in X86 or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and _cpu_has_bfloat16())


def _of_cpu(precision: str) -> str:
    if precision != "bfloat16":
        return "float32"
    if _cpu_has_bfloat16():
        return precision
    _warn()
    return "float32"


def _cpu_has_bfloat16() -> bool:
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # not in every build of torch
    return supported is not None and supported()


@functools.cache  # one warning a process
def _warn() -> None:
    log.warning("precision: this CPU has no instructions for bfloat16; computing in float32 instead")
