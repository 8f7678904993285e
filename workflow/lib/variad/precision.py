"""Where a setting ``precision: bfloat16`` is heeded."""

import functools
import logging

import torch

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
    return torch.device(device).type != "cpu" or _cpu_has_bfloat16()


def autocast(precision: str, device: str | torch.device) -> torch.autocast:
    """``torch.autocast`` in bfloat16 where ``in_bfloat16`` says so; elsewhere it changes nothing."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=in_bfloat16(precision, device))


@functools.cache  # one warning a process
def _cpu_has_bfloat16() -> bool:
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # not in every build of torch
    if supported is not None and supported():
        return True
    log.warning("precision: this CPU has no instructions for bfloat16; computing in float32 instead")
    return False
