"""What this processor can do: where ``precision: bfloat16`` is heeded, and oneDNN's own convolutions are used.

oneDNN heeds the environment variable ``ONEDNN_MAX_CPU_ISA`` and torch asks oneDNN, so ``ONEDNN_MAX_CPU_ISA=AVX2`` makes
of any x86 processor one without instructions for bfloat16.
"""

import functools
import logging
import platform

import torch

X86 = ("x86_64", "AMD64")
log = logging.getLogger("variad")


def in_bfloat16(precision: str, device: str | torch.device) -> bool:
    """Whether to compute in bfloat16: where it is asked for, and where the device has instructions for it.

    A CPU without them would take many times as long as in float32, which it gets, with a warning.

    Args:
        precision: ``float32`` or ``bfloat16``.
        device: such as ``cpu`` or ``cuda:0``.
    """
    if precision != "bfloat16":
        return False
    if torch.device(device).type != "cpu" or _cpu_has_bfloat16():
        return True
    _warn()
    return False


def autocast(precision: str, device: str | torch.device) -> torch.autocast:
    """``torch.autocast`` in bfloat16 where ``in_bfloat16`` says so; elsewhere it changes nothing."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=in_bfloat16(precision, device))


def packs_convolutions(dtype: torch.dtype) -> bool:
    """Whether convolutions of this precision on the CPU gain by weights that oneDNN has packed.

    They are its own on x86 processors alone; in bfloat16 it refuses to pack where there are no instructions.
    """
    if platform.machine() not in X86 or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and _cpu_has_bfloat16())


def _cpu_has_bfloat16() -> bool:
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # not in every build of torch
    return supported is not None and supported()


@functools.cache  # one warning a process
def _warn() -> None:
    log.warning("precision: this CPU has no instructions for bfloat16; computing in float32 instead")
