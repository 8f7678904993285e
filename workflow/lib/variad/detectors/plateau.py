"""Ending a training early when its loss no longer falls. It looks at the training loss alone."""

import math


class Plateau:
    """Says when the mean training loss of an epoch (or of a block of steps) has stopped falling.

    Args:
        patience: epochs without progress after which to stop; None never stops.
        tolerance: part of the best loss's size that counts as progress.
    """

    def __init__(self, patience: int | None, tolerance: float = 0.01) -> None:
        self.patience, self.tolerance = patience, tolerance
        self.best, self.waited = math.inf, 0

    def reached(self, loss: float) -> bool:
        """Take the next loss, and say whether to stop."""
        if self.patience is None:
            return False
        if loss < self.best - self.tolerance * abs(self.best) or math.isinf(self.best):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        return self.waited >= self.patience
