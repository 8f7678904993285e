"""The learning rate of the trainings whose weights ship."""

import math


def warm_cosine(step: int, peak: float, warm_up: int, steps: int) -> float:
    """Rate of step ``step`` of ``steps``: up along a line for ``warm_up`` steps, then half a cosine down to zero."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
