"""What work is counted in."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """Work of one job.

    Attributes:
        variant: the networks and settings that the cost of a unit depends on, in words.
        units: how many of each unit; ``job`` is not among them, every job is one.
    """

    variant: str = ""
    units: Mapping[str, float] = field(default_factory=dict)
