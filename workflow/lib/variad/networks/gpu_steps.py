"""Keeping a GPU busy: training steps replayed as CUDA graphs, and what they need made ahead by threads.

A step of a small network is hundreds of kernels of a few microseconds each, and a CPU takes longer to launch one than a
GPU to run it. A graph launches all of them at once. On a CPU both of these do nothing but call the function."""

import functools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

Given = TypeVar("Given")
Made = TypeVar("Made")
Signature = tuple[tuple[torch.Size, torch.dtype], ...]

WARM_UP = 3  # steps of a shape before its graph: libraries choose kernels, and the optimiser's state takes its place
MOST_WORKERS = 8  # threads that make things ahead; more would wait for each other's Python
AHEAD = 4  # things that each thread may be ahead by


def is_cuda(device: str | torch.device) -> bool:
    """Whether a device is a GPU that has CUDA graphs and pinned copies."""
    return torch.device(device).type == "cuda"


class ReplayedStep:
    """A step that, on a GPU, is recorded after ``WARM_UP`` calls and replayed from then on, once for each shape.

    A replay does again exactly what was recorded, on the same addresses. So the step may depend on its arguments'
    numbers, not on values of Python (a learning rate has to be a tensor: ``FusedAdam`` has one on a GPU), it may not
    wait for the GPU (no ``item``, no sizes that depend on numbers), and what it changes must stay where it is.

    Args:
        step: from tensors to a tensor; what else it does, such as moving weights, is repeated too.
        device: where it computes. Anything but CUDA calls the step every time.
    """

    def __init__(self, step: Callable[..., Tensor], device: str | torch.device) -> None:
        self.step, self.device = step, torch.device(device)
        self.graphs: dict[Signature, Recorded] = {}
        self._seen: dict[Signature, int] = {}
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, *given: Tensor) -> Tensor:
        """The step's result, the caller's to keep; arguments in pinned memory are copied without waiting."""
        if not is_cuda(self.device):
            return self.step(*given)
        signature = tuple((tensor.shape, tensor.dtype) for tensor in given)
        if signature in self.graphs:
            return self.graphs[signature].replay(given)
        here = [tensor.to(self.device, non_blocking=True) for tensor in given]
        if self._stream is None:
            self._stream = torch.cuda.Stream(self.device)
        self._seen[signature] = self._seen.get(signature, 0) + 1
        if self._seen[signature] <= WARM_UP:
            return launched(self.step, here, self._stream)
        self.graphs[signature] = Recorded(self.step, here, self._stream)
        return self.graphs[signature].replay(here)


def launched(step: Callable[..., Tensor], given: Iterable[Tensor], stream: torch.cuda.Stream) -> Tensor:
    """The step as usual, but on the stream that records later, where libraries then have their workspace already."""
    stream.wait_stream(torch.cuda.current_stream(stream.device))
    with torch.cuda.stream(stream):
        found = step(*given)
    torch.cuda.current_stream(stream.device).wait_stream(stream)
    return found


class Recorded:
    """One graph, its arguments' places and its result's; recording computes nothing."""

    def __init__(self, step: Callable[..., Tensor], given: Iterable[Tensor], stream: torch.cuda.Stream) -> None:
        self.given = [tensor.clone() for tensor in given]
        self.graph = torch.cuda.CUDAGraph()
        # only this thread is watched for what may not be recorded: others may pin memory meanwhile
        with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
            self.found = step(*self.given)

    def replay(self, given: Iterable[Tensor]) -> Tensor:
        """The step for other numbers of the same shapes."""
        for place, tensor in zip(self.given, given, strict=True):
            place.copy_(tensor, non_blocking=True)
        self.graph.replay()
        return self.found.detach().clone()


@functools.cache
def constant(values: tuple[float, ...], device: str | torch.device) -> Tensor:
    """Numbers that never change, ``[len(values)]``, made once a device: nothing can be copied while it records."""
    with torch.inference_mode(False):  # whoever asks first, others may differentiate through it
        return torch.tensor(values, device=device)


def pinned(tensor: Tensor, device: str | torch.device) -> Tensor:
    """A tensor on the CPU as it is copied to ``device`` fastest, and without waiting: pinned for a GPU."""
    return tensor.pin_memory() if is_cuda(device) and tensor.numel() else tensor


def workers(device: str | torch.device) -> int:
    """Threads to make things ahead with: none on a CPU, where they would take from the work itself."""
    if not is_cuda(device):
        return 0
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_WORKERS, available - 1))


def made_ahead(make: Callable[[Given], Made], items: Iterable[Given], threads: int) -> Generator[Made, None, None]:
    """``make`` of every item, in order, by threads that are a few items ahead of the caller.

    Items are taken one after another in the caller's thread, so whatever draws random numbers while it yields them
    draws the same for any number of threads. Without threads every result is made when it is asked for. An error of
    ``make`` is raised where its result would have come.
    """
    if threads < 1:
        yield from map(make, items)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > threads * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
