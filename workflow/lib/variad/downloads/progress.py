"""How far a long transfer is: a bar on a terminal, a line a minute in a log."""

import logging
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

LOG_INTERVAL = 60.0

_log = logging.getLogger(__name__)


class Progress:
    """Bytes done of a file, and of how many where that is known."""

    def __init__(self, name: str, total: int | None = None) -> None:
        self._name = name
        self._bar = tqdm(total=total, desc=name, unit="B", unit_scale=True, unit_divisor=1024, disable=None)
        self._total = total
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def show(self, done: int, total: int | None = None) -> None:
        """Set how many bytes are done; fewer than before after a new start."""
        self._total = total if total is not None else self._total
        self._bar.total = self._total
        self._bar.update(done - self._bar.n)
        if self._bar.disable:
            self._bar.n = done
            self._line(done)

    def _line(self, done: int) -> None:
        now = time.monotonic()
        if now - self._last >= LOG_INTERVAL:
            self._last = now
            of = f" of {self._total / 2**20:,.0f}" if self._total else ""
            _log.info("%s: %s%s MiB", self._name, f"{done / 2**20:,.0f}", of)
