"""Signals of processes that tests start."""

import signal


def heed_interrupts() -> None:
    """For ``preexec_fn``: what a shell starts in the background ignores Ctrl-C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
