"""How many images go through the generator together, and what to do when that was too many."""

import logging
import resource
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from variad.errors import UserError

log = logging.getLogger("variad")
Result = TypeVar("Result")

CPU_BATCH = 4  # one image is a quarter slower, eight are no faster (benchmarks/generation.csv) and take more memory
GPU_BATCH = 64  # a cap alone, memory decides; not measured
MARGIN = 0.8  # of the free memory: fragments, workspaces of convolutions, the batch's results
_STATM = Path("/proc/self/statm")  # Linux
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")  # what torch's CPU allocator says, by system


def free_bytes(device: str, granted: int | None = None) -> int | None:
    """Memory that may still be taken: of the GPU, or what is left of the ``granted`` bytes; None without a limit."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if not granted or not _STATM.is_file():
        return None
    in_use = int(_STATM.read_text("ascii").split()[1]) * resource.getpagesize()
    return max(0, granted - in_use)


def bytes_per_image(forward: Callable[[int], object]) -> int:
    """Bytes that one more image adds to what autograd keeps for the backward pass of ``forward(images)``."""
    return max(0, _bytes_kept(lambda: forward(2)) - _bytes_kept(lambda: forward(1)))


def _bytes_kept(forward: Callable[[], object]) -> int:
    """Bytes of all storages that a forward pass keeps, weights included."""
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # a layer's own result would keep the layer that keeps it, for ever

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = forward()  # alive until counted, so that no address is used twice
    del kept
    return sum(seen.values())


def batch_size(cap: int | None, per_image: int, free: int | None, device: str) -> int:
    """Images a batch: at most ``cap`` (None: what is known to pay on this kind of device), as memory allows."""
    wanted = cap or (GPU_BATCH if torch.device(device).type == "cuda" else CPU_BATCH)
    if free is None or not per_image:
        return wanted
    return max(1, min(wanted, int(MARGIN * free / per_image)))


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; on the CPU torch raises a plain ``RuntimeError``."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def shrinking(work: Callable[[int], Result], size: int) -> tuple[Result, int]:
    """``work(size)``; when memory runs out with half the size, and so on. Returns also the size that worked.

    Raises:
        UserError: not even one image fits.
    """
    while True:
        try:
            return work(size), size
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if size == 1:
                raise UserError(
                    "generation: expected memory for one image at a time, found too little; give the job more "
                    "(resource mem_mb, or a larger GPU), or lower image_size or cutouts."
                ) from error
            log.warning("out of memory with %d images a batch; trying %d", size, size // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        size //= 2
