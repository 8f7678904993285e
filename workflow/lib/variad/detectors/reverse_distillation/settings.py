"""Ranges of Reverse Distillation's settings."""

from collections.abc import Callable, Mapping
from typing import Any

from variad.detectors.reverse_distillation.residual_block import BLOCK_KINDS
from variad.errors import UserError


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raises:
    UserError: a value is out of its range; it is named.
    """
    for name, (expected, holds) in _RANGES.items():
        if not holds(settings[name]):
            raise UserError(f"reverse_distillation.{name}: expected {expected}, found {settings[name]!r}.")


def _count(value: Any) -> bool:
    return isinstance(value, int) and value >= 1


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


_Range = tuple[str, Callable[[Any], bool]]
_COUNT: _Range = ("a whole number of at least 1", _count)
_COUNT_OR_NONE: _Range = ("a whole number of at least 1, or null", lambda value: value is None or _count(value))
_POSITIVE: _Range = ("a number above 0", _positive)
_PRECISIONS = ("float32", "bfloat16")
_RANGES: dict[str, _Range] = {
    "epochs": _COUNT,
    "max_steps": _COUNT_OR_NONE,
    "batch_size": _COUNT,
    "learning_rate": _POSITIVE,
    "block": (" or ".join(BLOCK_KINDS), lambda value: value in BLOCK_KINDS),
    "width_factor": _POSITIVE,
    "blocks": (
        "whole numbers of at least 1, one for each layer, the deepest first",
        lambda value: len(value) > 0 and all(map(_count, value)),
    ),
    "embedding_blocks": _COUNT,
    "embedding_width_factor": _POSITIVE,
    "precision": (" or ".join(_PRECISIONS), lambda value: value in _PRECISIONS),
    "patience": _COUNT_OR_NONE,
    "resolution": _COUNT_OR_NONE,
}
