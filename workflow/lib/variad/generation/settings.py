"""What decides how images are generated, in the config's words."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class GenerationSettings:
    """A recipe of method ``generate``; names, meanings and units are those of the config.

    ``guidance`` of zero or no iterations leave the text out.
    """

    view: str
    form: str
    sigma: str
    noise_scale: float
    iterations: int
    learning_rate: float
    anchor: float
    guidance: float
    cutouts: int
    precision: str
    output: str
    min_similarity_gain: float | None
    max_distance: float | None
    batch_size: int | None

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> Self:
        """The settings among a recipe's keys."""
        return cls(**{field.name: recipe[field.name] for field in fields(cls)})

    @property
    def guided(self) -> bool:
        """Whether a text has any influence."""
        return self.guidance > 0 and self.iterations > 0
