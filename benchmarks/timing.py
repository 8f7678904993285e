"""Seconds and memory of a measurement, on a CPU or a GPU, for both sides of ``detectors.py``; rows of a result."""

import csv
import os
import platform
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Stopwatch:
    """Time between laps; a GPU has finished its work when a lap ends."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._wall, self._cpu = self._now()

    def lap(self, name: str) -> dict[str, float]:
        """Since the last one: ``<name>_s``, and ``<name>_cpu_s`` of all threads, which a busy machine changes less.

        ``<name>_peak_gb`` is the most memory in use at once since the start: of the process, or of torch on a GPU.
        """
        wall, cpu = self._now()
        passed = {f"{name}_s": wall - self._wall, f"{name}_cpu_s": cpu - self._cpu, f"{name}_peak_gb": self._peak()}
        self._wall, self._cpu = wall, cpu
        return passed

    def _now(self) -> tuple[float, float]:
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    def _peak(self) -> float:
        if not self._device.startswith("cuda"):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        import torch

        return float(torch.cuda.max_memory_reserved() / 1e9)


def warm_up(device: str) -> None:
    """What the first work on a GPU costs whoever does it: its context, and the libraries that it loads."""
    if not device.startswith("cuda"):
        return
    import torch

    for dtype in (torch.float32, torch.bfloat16):
        values = torch.rand(4, 64, 32, 32, device=device, dtype=dtype, requires_grad=True)
        kernel = torch.rand(64, 64, 3, 3, device=device, dtype=dtype)
        torch.nn.functional.conv2d(values, kernel).square().mean().backward()
        (values[0, 0] @ values[0, 1]).float().sort()
    torch.cuda.synchronize()


def machine(device: str) -> str:
    """What computed, in words."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name())
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def computed_in(precision: str, device: str) -> str:
    """The precision that a row is of: a CPU without instructions for bfloat16 computes in float32."""
    from variad.core.precision import in_bfloat16

    return "bfloat16" if in_bfloat16(precision, device) else "float32"


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """One CSV of a benchmark."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
