"""Work of fixed shapes that a GPU does again and again: recorded once, replayed as a whole."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

Result = TypeVar("Result")
WARM_UPS = 2  # before recording: kernels are loaded and chosen, which cannot be recorded


@contextmanager
def recording(graph: torch.cuda.CUDAGraph, stream: torch.cuda.Stream | None = None) -> Iterator[None]:
    """Record into ``graph`` what is launched meanwhile.

    Nothing is collected before it ends: an older graph that Python frees meanwhile would end the recording. Only this
    thread is watched for what may not be recorded, so that others may pin memory.
    """
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            yield
    finally:
        if collects:
            gc.enable()


class Recording(Generic[Result]):
    """A CUDA graph of ``work``: what it launched, in order, on the same memory at every call.

    Of many small kernels a GPU waits most of the time for Python to launch the next one. ``work`` reads and writes
    tensors that stay where they are; it has no decision that depends on what is in them, and copies nothing from or to
    the CPU. It is called before it is recorded, and whoever records has to undo what these calls changed.

    Attributes:
        result: what ``work`` returned, written anew by every call.
    """

    def __init__(self, work: Callable[[], Result], device: torch.device) -> None:
        """
        Raises:
            torch.OutOfMemoryError: the memory of ``work`` beside what is in use.
            RuntimeError: ``work`` does what cannot be recorded.
        """
        before, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        aside.wait_stream(before)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                work()
        before.wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        try:
            with recording(self._graph):
                self.result = work()
        except RuntimeError as error:
            torch.cuda.set_stream(before)
            # leaving a recording that has failed fails itself, which hides why
            if isinstance(error.__context__, torch.OutOfMemoryError):
                raise error.__context__ from None
            raise

    def __call__(self) -> Result:
        """Do the work."""
        self._graph.replay()
        return self.result
